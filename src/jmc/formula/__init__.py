"""From code to formula: a traced function as index expressions, its derivative in the notation of mathematics.

``jmc.formula(rule)`` is a rule of the catalogue as formulas.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jmc.formula.catalogue import formula
else:

    class _Room(ModuleType):
        """The room has the name of a function, and so is one."""

        def __call__(self, rule: Any) -> Any:
            """A rule of the catalogue as formulas that are read from its code: the primal, and each derivative.

            The result has ``text``, ``latex``, ``mathml``, and an equation for each output in ``primal``, in
            ``derivatives["x"]`` and in ``second``; a notebook shows it as a formula. Raises TypeError for what is no
            rule, NoFormula where not even a function with a name can stand for a part.
            """
            from jmc.formula.catalogue import formula

            return formula(rule)

    formula = sys.modules[__name__]
    formula.__class__ = _Room

__all__ = ["formula"]
