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
            from jmc.formula.catalogue import formula

            return formula(rule)

    formula = sys.modules[__name__]
    formula.__class__ = _Room

__all__ = ["formula"]
