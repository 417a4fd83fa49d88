"""How likely chance alone brings what looks wrong in a month: exact tests, for each size of a team.

A test passes if the probability is below CHANCE. It is asked only of what is beyond a limit already, as scipy is slow to
import.
"""

import pyarrow as pa
import pyarrow.compute as pc

CHANCE = 1e-6


def is_more(count: int, users: int, share: float) -> bool:
    """Whether so many of the users are more than chance brings if each is one of them with probability `share`."""
    from scipy.stats import binom

    return count > share * users and bool(binom.sf(count - 1, users, share) < CHANCE)


def is_constant(rows: int, rows_before: int, others_before: int) -> bool:
    """Whether it is no chance that no row has another value, as `others_before` of the rows before had.

    If the rows of both months were dealt at random, all rows with another value would lie in the month before (Fisher's
    exact test).
    """
    from scipy.stats import hypergeom

    return bool(hypergeom.pmf(0, rows + rows_before, others_before, rows) < CHANCE)


def is_rate_higher(count: int, users: int, count_before: int, users_before: int, times: float) -> bool:
    """Whether the rate is more than `times` the rate before, and chance does not bring that.

    Of all that are counted in both months, so many would be of this one (the conditional test of two Poisson rates).
    """
    from scipy.stats import binom

    if not count * users_before > times * count_before * users:
        return False
    share = times * users / (times * users + users_before)
    return bool(binom.sf(count - 1, count + count_before, share) < CHANCE)


def is_larger(values: pa.Array, values_before: pa.Array, times: float) -> bool:
    """Whether values are more than `times` as large as those before, and chance does not bring that.

    So many of them would lie above the median of both together (Mood's median test).
    """
    from scipy.stats import hypergeom

    before = pc.multiply(values_before.cast(pa.float64()), times)
    middle = pc.quantile(pa.concat_arrays([values.cast(pa.float64()), before]), 0.5)[0]
    above, above_before = (pc.sum(pc.greater(each, middle)).as_py() for each in (values, before))
    return bool(hypergeom.sf(above - 1, len(values) + len(before), above + above_before, len(values)) < CHANCE)
