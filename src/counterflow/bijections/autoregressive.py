"""The autoregressive bijection: row i is a univariate map steered by the rows before it."""

from ..conditioners import Conditioner, is_programmed
from ..shapes import Context, LogDensity, Vector
from ..solvers import Blocked, Solver, Stepwise, evaluate
from ..spec import register
from ..univariate import Univariate
from .bijection import Bijection, RowMaps


@register
class Autoregressive(Bijection):
    r"""x_i = tau(u_i; params_i(u_{<i}, c)): forward in one parallel pass, inverse by a solver.

    .. math:: \log\left|\frac{dx}{du}\right| = \sum_i \log \frac{d\tau}{du_i}

    An IAF samples through it (`Flow(base, Autoregressive(...))`), a MAF scores through it
    (`Flow(base, Inverse(Autoregressive(...)))`); the other direction of each is the solver's.

    Args:
        conditioner: Gives the parameters, D rows of P.
        univariate: The map tau with that many parameters.
        solver: How to invert; None is the best exact solver there is: `Blocked` for a masked network, else `Stepwise`.

    Raises:
        ValueError: the conditioner's rows do not have the univariate map's number of parameters.

    Cost: forward one pass of the conditioner; inverse the arithmetic of the unmasked half of one, in D dependent steps.
    Source: Kingma et al. (2016), arXiv:1606.04934; Papamakarios et al. (2017), arXiv:1705.07057.
    """

    def __init__(self, conditioner: Conditioner, univariate: Univariate, *, solver: Solver | None = None) -> None:
        super().__init__()
        if conditioner.num_params != univariate.num_params:
            raise ValueError(
                f"{type(univariate).__name__} takes {univariate.num_params} parameters, "
                f"the conditioner gives {conditioner.num_params}"
            )
        self.conditioner, self.univariate, self.solver = conditioner, univariate, solver
        self.features, self.context_features = conditioner.features, conditioner.context_features

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """x, log |dx/du|, in one parallel pass."""
        self.check(u, "u", context)
        return evaluate(self.conditioner, self.univariate, u, context)

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """u, log |du/dx|, by the solver."""
        self.check(x, "x", context)
        solver = self.solver or (Blocked() if is_programmed(self.conditioner) else Stepwise())
        solution = solver.solve(self.conditioner, self.univariate, x, context)
        return solution.u, solution.log_det

    @property
    def order(self) -> tuple[int, ...]:
        """The conditioner's."""
        return self.conditioner.order

    def forward_rows(self, u: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """x, and the maps tau(.; params_i)."""
        self.check(u, "u", context)
        params = self.conditioner(u, context)
        return self.univariate.forward(u, params)[0], RowMaps(self.univariate, params)

    def inverse_rows(self, x: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """u, and the maps tau(.; params_i): the inverse, and one pass at its result."""
        u, _ = self.inverse(x, context)
        return u, RowMaps(self.univariate, self.conditioner(u, context))
