"""Networks of one's own and training by steps: against formulas, differences and the library's own training."""

import multiprocessing
import os
import tempfile

import numpy as np
import pytest
from conftest import gaussian_rows

from gradlogp import ScoreDensity, ScoreField, engine, errors

X = gaussian_rows(30, seed=9)
LAWS = ["rademacher", "gaussian", "sphere", "orthogonal", "coordinate"]


@pytest.fixture(params=["score", "log-density"])
def network(request):
    return engine.Network(2, request.param, hidden=[9, 7], activation="tanh", random_state=3)


def jacobian(network, x, step=1e-5):
    """d s_i / d x_j by differences, n x d x d."""
    moved = [step * unit for unit in np.eye(2)]
    columns = [(network.score(x + by) - network.score(x - by)) / (2 * step) for by in moved]
    return np.stack(columns, axis=2)


def test_derivatives_are_those_of_the_score(network):
    v = gaussian_rows(len(X), seed=4)
    expected = jacobian(network, X)
    close = {"rtol": 1e-6, "atol": 1e-8}
    np.testing.assert_allclose(network.jvp(X, v), np.einsum("nij,nj->ni", expected, v), **close)
    np.testing.assert_allclose(network.vjv(X, v), np.einsum("ni,nij,nj->n", v, expected, v), **close)
    np.testing.assert_allclose(network.trace(X), np.einsum("nii->n", expected), **close)
    np.testing.assert_allclose(network.jacobian_diagonal(X), np.einsum("nii->ni", expected), **close)
    if network.value(X).shape[1] == 1:
        steps = [1e-5 * unit for unit in np.eye(2)]
        slopes = [(network.value(X + by) - network.value(X - by))[:, 0] / 2e-5 for by in steps]
        np.testing.assert_allclose(np.stack(slopes, axis=1), network.score(X), **close)
    else:
        np.testing.assert_array_equal(network.value(X), network.score(X))


def test_losses_are_the_formulas_along_the_slices_given(network):
    v = engine.draw_slices(len(X), 2, 3, "gaussian", random_state=5)
    noise = gaussian_rows(len(X), seed=6)
    s, curvature = network.score(X), np.stack([network.vjv(X, each) for each in v])
    sigma = 0.3
    noised = network.score(X + sigma * noise)
    expected = {
        "ssm": (curvature + 0.5 * (v * s).sum(-1) ** 2).mean(0),
        "ssm-vr": curvature.mean(0) + 0.5 * (s**2).sum(-1),
        "exact": network.trace(X) + 0.5 * (s**2).sum(-1),
        "dsm": 0.5 * ((noised + noise / sigma) ** 2).sum(-1),
    }
    for objective, values in expected.items():
        settings = {"slices": 3, "sigma": sigma if objective == "dsm" else None}
        draws = {"v": v} if objective.startswith("ssm") else {"noise": noise} if objective == "dsm" else {}
        losses, _ = network.loss_and_gradient(X, objective, **settings, **draws)
        np.testing.assert_allclose(losses, values, rtol=1e-9, atol=1e-9, err_msg=objective)


@pytest.mark.parametrize("objective", ["ssm", "ssm-vr", "exact", "dsm"])
def test_gradients_are_the_slopes_of_the_mean_loss(network, objective):
    settings = {"slices": 2, "sigma": 0.4 if objective == "dsm" else None}
    _, gradient = network.loss_and_gradient(X, objective, **settings)
    parameters, step = network.parameters, np.float32(2**-10)
    assert gradient.shape == parameters.shape
    for k in np.random.default_rng(0).choice(len(parameters), 12, replace=False):
        def mean(by, k=k):
            moved = parameters.copy()
            moved[k] += by
            losses, _ = network.with_parameters(moved).loss_and_gradient(X, objective, **settings)
            return losses.mean(), np.float64(moved[k])

        (up, high), (down, low) = mean(step), mean(-step)
        np.testing.assert_allclose(gradient[k], (up - down) / (high - low), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("law", LAWS)
def test_slices_have_the_identity_as_second_moment(law):
    v = engine.draw_slices(20_000, 3, 2, law)
    assert v.shape == (2, 20_000, 3)
    moment = np.einsum("mni,mnj->ij", v, v) / 40_000
    assert np.abs(moment - np.eye(3)).max() < 0.06
    assert np.array_equal(v, engine.draw_slices(20_000, 3, 2, law))
    assert not np.array_equal(v, engine.draw_slices(20_000, 3, 2, law, random_state=1))


def test_parameters_have_a_layout(network):
    sizes = [int(np.prod(shape)) for _, shape in network.layout]
    assert sum(sizes) == len(network.parameters) and len({name for name, _ in network.layout}) == len(sizes)
    same = network.with_parameters(network.parameters)
    np.testing.assert_array_equal(same.score(X), network.score(X))
    with pytest.raises(errors.DataError, match="model parameters"):
        network.with_parameters(network.parameters[1:])


def test_conditions_are_read():
    network = engine.Network(2, given=1, hidden=[8], conditioning="film")
    c = np.linspace(-1, 1, len(X))[:, None]
    assert not np.array_equal(network.score(X, c), network.score(X, c + 1))
    with pytest.raises(errors.DataError, match="given"):
        network.score(X)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: engine.Network(0), "dim"),
        (lambda: engine.Network(2, activation="step"), "activation"),
        (lambda: engine.Network(2).score(X[:, :1]), "columns"),
        (lambda: engine.Network(2).jvp(X, X[:3]), "vectors"),
        (lambda: engine.Network(2).loss_and_gradient(X, "ssm", v=X), "v: must be"),
        (lambda: engine.Network(2).loss_and_gradient(X, "auto"), "objective"),
        (lambda: engine.Network(2).loss_and_gradient(X, "cp"), "objective"),
        (lambda: engine.Trainer(engine.Network(2), X, X, stepz=3), "stepz"),
        (lambda: engine.Trainer(engine.Network(2), X, X, batch=0), "batch"),
        (lambda: engine.Trainer(engine.Network(2), X * np.nan, X), "finite"),
        (lambda: engine.Trainer(engine.Network(2), X, X).step(2, 2), "part"),
        (lambda: engine.Trainer(engine.Network(2), X, X).apply([1.0]), "gradient"),
    ],
)
def test_what_cannot_be_used_is_refused(call, text):
    with pytest.raises(errors.GradlogpError, match=text):
        call()


SETTINGS = {
    "steps": 40,
    "batch": 64,
    "evaluate_every": 10,
    "ema_decay": 0.9,
    "objective": "ssm-vr",
    "slice_distribution": "gaussian",
    "learning_rate": 5e-3,
}


def stepwise(trainer):
    while trainer.stopped is None:
        trainer.apply(trainer.step())
    return trainer


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("estimator", "kind"), [(ScoreField, "score"), (ScoreDensity, "log-density")])
def test_steps_give_the_bits_of_a_fit(estimator, kind, threads):
    rows = gaussian_rows(400)
    own = {"base": "gaussian"} if estimator is ScoreDensity else {}
    fitted = estimator(hidden=[16], **SETTINGS, threads=threads, standardize="none", random_state=7, **own).fit(rows)
    scale = 3.0 if kind == "log-density" else None
    network = engine.Network(2, kind, hidden=[16], base_scale=scale, random_state=7)
    parts = [rows[fitted.split_[part]] for part in ("train", "validation")]
    trainer = engine.Trainer(network, *parts, **SETTINGS, threads=threads, random_state=7)
    stepwise(trainer)
    assert trainer.stopped == "all steps taken" and trainer.steps_taken == 40
    np.testing.assert_array_equal(trainer.best_network.parameters, parameters_of(fitted))
    found = [point["held_out"]["mean"] for point in trainer.history]
    np.testing.assert_array_equal(found, fitted.history_["validation_loss"])


def parameters_of(fitted):
    from gradlogp._graph import Described

    return np.concatenate([np.ravel(each) for each in Described.of(fitted).parameters])


def shared_training(rank, address, queue):
    """One of two processes that sum their gradients."""
    rows = gaussian_rows(400)
    trainer = engine.Trainer(engine.Network(2, hidden=[16]), rows[:300], rows[300:], **SETTINGS, threads=1)
    try:
        import torch
        from torch import distributed
    except ImportError:
        distributed = None
    if distributed is not None:
        distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    while trainer.stopped is None:
        gradient = trainer.step(rank, 2)
        if distributed is None:
            gradient = exchange(rank, gradient, address)
        else:
            distributed.all_reduce(torch.from_numpy(gradient))
        trainer.apply(gradient)
    queue.put((rank, trainer.network.parameters))
    if distributed is not None:
        distributed.destroy_process_group()


def exchange(rank, gradient, address):
    """The sum of both gradients, by a pipe."""
    pipe = PIPES[rank]
    pipe.send(gradient)
    other = pipe.recv()
    return gradient + other if rank == 0 else other + gradient


PIPES = {}


def with_pipe(rank, pipe, address, queue):
    PIPES[rank] = pipe
    shared_training(rank, address, queue)


def test_two_processes_that_sum_their_gradients_train_as_one():
    context = multiprocessing.get_context("spawn")
    queue, pipes = context.Queue(), context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        address = "file://" + os.path.join(folder, "meeting")
        children = [
            context.Process(target=with_pipe, args=(rank, pipes[rank], address, queue)) for rank in (0, 1)
        ]
        for child in children:
            child.start()
        found = dict(queue.get(timeout=120) for _ in children)
        for child in children:
            child.join(timeout=60)
    np.testing.assert_array_equal(found[0], found[1])
    rows = gaussian_rows(400)
    network = engine.Network(2, hidden=[16])
    alone = stepwise(engine.Trainer(network, rows[:300], rows[300:], **SETTINGS, threads=2))
    np.testing.assert_array_equal(found[0], alone.network.parameters)
