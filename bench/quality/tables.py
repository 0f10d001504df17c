"""The judging tables of bench/quality, and how every table is prepared."""
import numpy as np

PARKINSONS = ["test_time", "motor_UPDRS", "total_UPDRS", "Jitter(Abs)", "Jitter:PPQ5", "Jitter:DDP", "Shimmer(dB)", "Shimmer:APQ5",
              "Shimmer:APQ11", "Shimmer:DDA", "NHR", "HNR", "RPDE", "DFA", "PPE"]


def wine(path):
    return np.genfromtxt(path, delimiter=";", skip_header=1)[:, :11]


def parkinsons(path):
    names = path.read_text().splitlines()[0].split(",")
    return np.genfromtxt(path, delimiter=",", skip_header=1)[:, [names.index(name) for name in PARKINSONS]]


def normal_rows(path):
    """The rows of an ADBench table that are no anomalies."""
    with np.load(path) as f:
        return f["X"][f["y"] == 0].astype(float)


# Name: (file in the data folder, reader). No setting of gradlogp was chosen on these tables.
JUDGING = {
    "red wine": ("uci/winequality-red.csv", wine),
    "white wine": ("uci/winequality-white.csv", wine),
    "Parkinsons": ("uci/parkinsons_updrs.data", parkinsons),
    "Sachs (logs)": ("sachs/sachs_observational_853.npy", lambda path: np.log(np.load(path))),
    "MiniBooNE": ("miniboone/miniboone_maf_first1523.npy", np.load),
    "digits": ("digits/optdigits.tes", lambda path: np.loadtxt(path, delimiter=",")[:, :64]),
    "mammography": ("adbench/23_mammography.npz", normal_rows),
    "Cardiotocography": ("adbench/7_Cardiotocography.npz", normal_rows),
    "Stamps": ("adbench/37_Stamps.npz", normal_rows),
}


def load(data, name):
    """Rows of a judging table, or None where its file is not there; columns of at most two values are left out."""
    file, read = JUDGING[name]
    if not (data / file).exists():
        return None
    return several_values(read(data / file).astype(float))


def several_values(x):
    return x[:, [len(np.unique(column)) > 2 for column in x.T]]


def dequantise(x, rng):
    """Uniform noise as wide as a column's step, the median over its tied rows of the distance to the nearest other value,
    where at least a twentieth of the rows are tied."""
    x = x.copy()
    for j in range(x.shape[1]):
        values, inverse, counts = np.unique(x[:, j], return_inverse=True, return_counts=True)
        tied = counts[inverse] > 1
        if tied.mean() < 0.05:
            continue
        gaps = np.diff(values)
        nearest = np.minimum(np.r_[np.inf, gaps], np.r_[gaps, np.inf])[inverse]
        step = np.median(nearest[tied])
        x[:, j] += rng.uniform(-step / 2, step / 2, len(x))
    return x


def prepare(x, split, most=None, most_test=600):
    """(training rows, held-out rows): a fifth of the distinct rows held out with all their copies, dequantised once for all
    methods, standardised by the training rows. `most`: so many training rows."""
    train, test, _ = prepare_with_copies(x, split, most, most_test)
    return train, test


def prepare_with_copies(x, split, most=None, most_test=600):
    """As `prepare`, and which rows of either are the first of their copies."""
    rng = np.random.default_rng([11, split])
    _, group = np.unique(x, axis=0, return_inverse=True)
    group = group.ravel()
    order = rng.permutation(group.max() + 1)
    held = np.isin(group, order[: max(1, round(0.2 * len(order)))])
    x = dequantise(x, rng)
    train, test = rng.permutation(np.flatnonzero(~held))[:most], rng.permutation(np.flatnonzero(held))[:most_test]
    first = tuple(first_copies(group[part]) for part in (train, test))
    train, test = x[train], x[test]
    mean, sd = train.mean(0), train.std(0)
    keep = sd > 0
    return (train[:, keep] - mean[keep]) / sd[keep], (test[:, keep] - mean[keep]) / sd[keep], first


def first_copies(group):
    """Whether a row is the first of its group."""
    mask = np.zeros(len(group), bool)
    mask[np.unique(group, return_index=True)[1]] = True
    return mask
