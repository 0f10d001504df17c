"""What is timed: pieces of work, who does them, and the groups that are timed side by side."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

OURS = "gradlogp"

#: Names of the peers, in the order of the tables, and what each does.
PEERS = {
    "torch-double-backward": "PyTorch, as published: rows repeated per slice, autograd.grad with "
    "create_graph, then backward; exact losses by d backward passes",
    "torch-jvp": "PyTorch, torch.func.jvp of the score, then backward; exact losses by vmap over d",
    "torch-compile": "torch-jvp through torch.compile (inductor)",
    "jax-jvp": "JAX, the whole step under jit: jvp of the score; exact losses by vmap over d",
    "folx": "JAX jit with folx's forward Laplacian (exact losses of potentials)",
}


@dataclass(frozen=True)
class Work:
    """One training step: model kind, objective and shapes."""

    model: str = "score"
    objective: str = "ssm-vr"
    dim: int = 16
    hidden: tuple[int, ...] = (256, 256, 256)
    batch: int = 512
    slices: int = 1
    threads: int = 2

    @property
    def name(self) -> str:
        slices = "" if self.objective == "exact" else f", M {self.slices}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return (
            f"{self.objective} {self.model}, d {self.dim}, {shape(self.hidden)}, "
            f"B {self.batch}{slices}, {threads}"
        )

    @property
    def peers(self) -> list[str]:
        folx = self.model == "potential" and self.objective == "exact"
        return [p for p in PEERS if p != "folx" or folx]


def shape(hidden: tuple[int, ...]) -> str:
    """3x256 for equal widths."""
    same = len(set(hidden)) == 1
    return f"{len(hidden)}x{hidden[0]}" if same else "-".join(map(str, hidden))


@dataclass(frozen=True)
class Entry:
    """One line of a group: who does which work."""

    who: str
    work: Work


@dataclass(frozen=True)
class Target:
    """Time of `theirs` over time of ours is to be at least `least`."""

    theirs: Entry
    least: float


@dataclass(frozen=True)
class Group:
    """Entries that are timed in turns; the first is ours."""

    entries: tuple[Entry, ...]
    targets: tuple[Target, ...] = ()

    @property
    def ours(self) -> Work:
        return self.entries[0].work


@dataclass(frozen=True)
class Memory:
    """Peak memory of one step, of every name in `who`."""

    work: Work
    who: tuple[str, ...]
    most: float | None = None  # our share of the first peer's, as a target


@dataclass(frozen=True)
class Preset:
    groups: list[Group]
    memory: list[Memory] = field(default_factory=list)
    rounds: int = 5
    seconds: float = 1.0


def side_by_side(work: Work, only: tuple[str, ...] = tuple(PEERS), **least: float) -> Group:
    """Us and the peers on the same work; `least` holds targets, `_` for `-` in names."""
    targets = tuple(
        Target(Entry(who.replace("_", "-"), work), ratio) for who, ratio in least.items()
    )
    entries = (Entry(p, work) for p in work.peers if p in only)
    return Group((Entry(OURS, work), *entries), targets)


def targets() -> Preset:
    """Every work with a target."""
    exact = Work("potential", "exact", hidden=(128, 128), batch=100)
    middle = Work(dim=16, hidden=(256,) * 3, batch=512)
    groups = [
        side_by_side(
            Work(dim=2, hidden=(128,) * 3, batch=256), torch_double_backward=3.5, jax_jvp=2.0
        ),
        side_by_side(middle, torch_double_backward=2.2, jax_jvp=1.4),
        side_by_side(
            Work(dim=784, hidden=(1024,) * 2, batch=256), torch_double_backward=1.6, jax_jvp=1.15
        ),
        side_by_side(replace(middle, objective="ssm", slices=8), torch_double_backward=4.0),
        side_by_side(
            replace(middle, model="potential", objective="ssm"),
            torch_double_backward=3.0,
            jax_jvp=2.0,
        ),
        side_by_side(replace(exact, dim=100), torch_double_backward=12.0, folx=6.0),
        against_one_slice(replace(exact, dim=32), 1.0),
        against_one_slice(replace(exact, dim=50), 1 / 1.5),
    ]
    memory = [Memory(replace(exact, dim=200), ("torch-double-backward", *MEMORY_PEERS), 0.1)]
    return Preset(groups, memory)


MEMORY_PEERS = ("torch-jvp", "jax-jvp", "folx")


def against_one_slice(exact: Work, least: float) -> Group:
    """Our exact loss against PyTorch's SSM with one slice, on the same network and batch."""
    theirs = Entry("torch-double-backward", replace(exact, objective="ssm"))
    return Group((Entry(OURS, exact), theirs), (Target(theirs, least),))


def grid() -> Preset:
    """One factor at a time around a middle configuration."""
    works = around_the_middle(
        dims=(2, 10, 50, 100, 200, 784),
        hidden=((128,) * 2, (128,) * 3, (1024,) * 2),
        batches=(100, 512, 4096),
        slices=(4, 8),
    )
    return Preset([side_by_side(w) for w in works], rounds=3, seconds=0.5)


def glance() -> Preset:
    """The grid with fewer values and against the three fastest peers, in about eight minutes."""
    works = around_the_middle(
        dims=(2, 100), hidden=((128,) * 2,), batches=(100, 4096), slices=(8,)
    )
    peers = ("torch-double-backward", "jax-jvp", "folx")
    return Preset([side_by_side(w, only=peers) for w in works], rounds=2, seconds=0.3)


def around_the_middle(dims, hidden, batches, slices) -> list[Work]:
    works = []
    for model in ("score", "potential"):
        for objective in ("ssm", "ssm-vr", "exact"):
            base = Work(model, objective, batch=256)
            works.append(base)
            works += [replace(base, dim=d) for d in dims]
            works += [replace(base, hidden=h) for h in hidden]
            works += [replace(base, batch=b) for b in batches]
            works += [replace(base, slices=m) for m in slices if objective != "exact"]
            works.append(replace(base, threads=1))
    return works


def full() -> Preset:
    """Every combination of the grid's values: hours, and gigabytes for the peers' exact losses."""
    works = [
        Work(model, objective, d, hidden, batch, m, threads)
        for model in ("score", "potential")
        for objective in ("ssm", "ssm-vr", "exact")
        for d in (2, 10, 16, 50, 100, 200, 784)
        for hidden in ((128,) * 2, (128,) * 3, (256,) * 3, (1024,) * 2)
        for batch in (100, 256, 512, 4096)
        for m in ((1,) if objective == "exact" else (1, 4, 8))
        for threads in (1, 2)
    ]
    return Preset([side_by_side(w) for w in works], rounds=3, seconds=0.3)


def scaling() -> Preset:
    """Time and memory against d, 2 to 1,000: potentials, 2x128, B 100."""
    base = Work("potential", hidden=(128, 128), batch=100)
    works = [
        replace(base, objective=objective, dim=d)
        for objective in ("ssm", "ssm-vr", "exact")
        for d in (2, 10, 50, 200, 1000)
    ]
    peers = ("torch-double-backward", "jax-jvp", "folx")
    memory = [Memory(w, peers) for w in works if w.objective == "exact"]
    return Preset([side_by_side(w, only=peers) for w in works], memory, rounds=3, seconds=0.3)


def smoke() -> Preset:
    """Everything once, tiny: shows that the scripts work, measures nothing."""
    tiny = Work(dim=3, hidden=(16, 16), batch=16)
    works = [
        replace(tiny, model=m, objective=o, slices=k)
        for m in ("score", "potential")
        for o, k in (("ssm", 1), ("ssm-vr", 3), ("exact", 1))
    ]
    exact = replace(tiny, model="potential", objective="exact")
    memory = [Memory(replace(exact, dim=d), ("torch-double-backward", "folx"), 0.1) for d in (3, 9)]
    crossed = against_one_slice(exact, 1.0)
    return Preset([*map(side_by_side, works), crossed], memory, rounds=2, seconds=0.05)


PRESETS = {
    f.__name__: f for f in (targets, grid, glance, full, scaling, smoke)
}

#: Measurements that are not of one training step; each is a module with that name.
PIECES = {
    "quality": "Seconds until the held-out exact loss is within 1% of the best",
    "crossover": "Up to which d the exact loss is worth its cost",
    "throughput": "Scoring, MALA chains and reading tables",
}

#: What `--preset all` runs, about half an hour.
ALL = ("targets", "scaling", "glance", "quality", "crossover", "throughput")
