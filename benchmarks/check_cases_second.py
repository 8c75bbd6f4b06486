"""The second half of the cases."""

from check_cases import Case

CASES: tuple[Case, ...] = ()
