import numpy as np

from jmc.train.report.confusion import MOST_MATRIX_CLASSES, MOST_PAIRS, confusion


def test_rows_are_true_classes_and_columns_predicted_ones():
    true, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 2, 2, 1, 0, 2])
    table = confusion(true, predicted, ("a", "b", "c"))
    assert [[pair.count for pair in row] for row in table.matrix] == [[1, 0, 2], [1, 1, 0], [0, 0, 1]]
    assert [pair.share for pair in table.matrix[0]] == [1 / 3, 0, 2 / 3]
    assert [pair.right for pair in table.matrix[1]] == [False, True, False]
    mistakes = [(pair.true, pair.predicted, pair.count) for pair in table.mistakes]
    assert mistakes == [("a", "c", 2), ("b", "a", 1)]
    assert table.summary == "3 of 6 are right. The most frequent mistake: a taken for c, twice."


def test_nothing_wrong_and_a_class_without_examples():
    table = confusion(np.array([0, 0]), np.array([0, 0]), ("a", "b"))
    assert table.mistakes == []
    assert table.summary == "2 of 2 are right."
    assert [pair.share for pair in table.matrix[1]] == [0, 0]


def test_of_many_classes_only_the_most_confused_pairs():
    k = MOST_MATRIX_CLASSES + 1
    names = tuple(f"c{i}" for i in range(k))
    true = np.repeat(np.arange(k), 2)
    table = confusion(true, np.where(np.arange(2 * k) == 1, 5, (true + 1) % k), names)
    assert table.matrix == []
    assert len(table.mistakes) == MOST_PAIRS
    assert (table.mistakes[0].true, table.mistakes[0].count) == ("c1", 2)
    assert len(confusion(true[:-2], true[:-2], names[:-1]).matrix) == MOST_MATRIX_CLASSES


def test_no_examples():
    none = np.array([], dtype=int)
    assert confusion(none, none, ("a", "b")).summary == "0 of 0 are right."
