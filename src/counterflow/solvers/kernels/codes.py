"""The numbers by which tables tell the CPU kernels what to do."""

# Steps of a program: rows of the table `steps` hold KIND, TARGET, SOURCE, then what the kind needs.
BIAS, SHIFT, LINEAR, ACTIVATE, ADD, GATE, KEEP = range(7)
STEP_KIND, STEP_TARGET, STEP_SOURCE, STEP_DATA, STEP_ROWS, STEP_COLUMNS, STEP_STRIDE, STEP_CODE = range(8)
STEP_FIELDS = 8

# The STEP_CODE of a LINEAR row: whether the columns of its weights lie in the order of its source.
IN_ORDER, SCATTERED = range(2)

# Activations.
IDENTITY, RELU, LEAKY_RELU, ELU, TANH, SIGMOID, SILU, SOFTPLUS = range(8)

# Univariate maps: rows of `maps` hold KIND, whether inverted, its first parameter, its bins, its first number.
ADDITIVE, AFFINE_EXP, AFFINE_BOUNDED, AFFINE_SOFTPLUS, AFFINE_SIGMOID, AFFINE_CLIPPED, QUADRATIC, LINEAR_RATIONAL = (
    range(8)
)
MAP_KIND, MAP_INVERTED, MAP_PARAMS, MAP_BINS, MAP_NUMBERS = range(5)
MAP_FIELDS = 5

# What a step of the recursion does with the parameters of its row.
SOLVE, EVALUATE, SOLVE_LINEARISED = range(3)

# Where the data lies, element (sample t, row i) at data + t * stride + rows[i]: rows of the table `places`.
GIVEN, FOUND, LOG_DET, SLOPE, PARAMS_SLOPE, PARAMS_OFFSET = range(6)
PLACES = 6
PLACE_DATA, PLACE_STRIDE, PLACE_ROWS = range(3)
