"""The check must refuse what peers get wrong. Run: bench/out/venv/bin/python bench/peers/test_check.py"""

import unittest
from dataclasses import replace

import numpy as np
import torch

import reference
from check import Wrong, check
from peer_torch import Peer, double_backward, network
from presets import Work

SCORE = Work("score", "ssm-vr", 5, (8, 7), 6, slices=3, threads=1)
ALL = [
    replace(SCORE, model=m, objective=o) for m in ("score", "potential") for o in ("ssm", "ssm-vr", "exact")
]


def broken(change, work=SCORE, who="torch-double-backward"):
    """A peer after `change(peer)`."""

    def build(work):
        peer = Peer(who, work)
        change(peer)
        return peer

    return check(build, work)


def with_loss(make):
    def change(peer):
        peer.loss = make(peer.loss, peer.work)

    return change


class Refused(unittest.TestCase):
    def refuse(self, change, work=SCORE):
        with self.assertRaises(Wrong):
            broken(change, work)

    def test_right_peers_pass(self):
        for work in ALL:
            for who in ("torch-double-backward", "torch-jvp"):
                broken(lambda peer: None, work, who)

    def test_sign(self):
        for work in ALL:
            self.refuse(with_loss(lambda loss, _: lambda *a: -loss(*a)), work)

    def test_scale(self):
        for work in ALL:
            self.refuse(with_loss(lambda loss, _: lambda *a: 2 * loss(*a)), work)

    def test_slices_summed_not_averaged(self):
        def make(loss, work):
            one = double_backward(replace(work, slices=1))
            return lambda p, x, v: sum(one(p, x, u[None]) for u in v)

        self.refuse(with_loss(make))

    def test_objectives_confused(self):
        other = lambda _, work: double_backward(replace(work, objective="ssm"))
        self.refuse(with_loss(other))

    def test_right_loss_with_detached_curvature(self):
        def make(loss, work):
            def square_only(p, x, v):
                s = network(p, x)
                half = 0.5 * (s * s).sum(-1).mean()
                return half + (loss(p, x, v) - half).detach()

            return square_only

        self.refuse(with_loss(make))

    def test_no_clipping(self):
        import peer_torch

        clip, peer_torch.CLIP = peer_torch.CLIP, float("inf")
        try:
            for work in ALL:
                self.refuse(lambda peer: None, work)
        finally:
            peer_torch.CLIP = clip

    def test_no_update_wrong_rate(self):
        def rate(peer):
            peer.optimiser.param_groups[0]["lr"] *= 2
            peer.set_parameters = lambda arrays: Peer.set_parameters(peer, arrays) or rate(peer)

        def frozen(peer):
            peer.update = lambda x, v: None

        self.refuse(rate)
        self.refuse(frozen)

    def test_reused_and_wrong_slices(self):
        kept = torch.ones(SCORE.slices, SCORE.batch, SCORE.dim)
        self.refuse(lambda peer: setattr(peer, "_draw", lambda: kept))
        normal = lambda: torch.randn(SCORE.slices, SCORE.batch, SCORE.dim)
        self.refuse(lambda peer: setattr(peer, "_draw", normal))


class Reference(unittest.TestCase):
    """The reference itself, against finite differences of the score and the potential."""

    def test_jacobian_and_hessian(self):
        x, h = np.array([0.3, -1.2, 0.7]), 1e-5
        for model, at in (("score", reference.score_field), ("potential", reference.potential)):
            p = [q.astype(float) for q in reference.initial_parameters(Work(model, "exact", 3, (6, 5)))]
            layers = list(zip(p[::2], p[1::2]))
            columns = [(at(layers, x + h * e)[0] - at(layers, x - h * e)[0]) / (2 * h) for e in np.eye(3)]
            np.testing.assert_allclose(at(layers, x)[1], np.stack(columns, 1), atol=1e-8)

    def test_score_of_potential_is_its_gradient(self):
        x, h = np.array([0.3, -1.2, 0.7]), 1e-5
        p = [q.astype(float) for q in reference.initial_parameters(Work("potential", "exact", 3, (6, 5)))]
        layers = list(zip(p[::2], p[1::2]))
        f = lambda x: reference.score_field(layers, x)[0][0]
        slopes = [(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(3)]
        np.testing.assert_allclose(reference.potential(layers, x)[0], slopes, atol=1e-8)

    def test_gaussian_by_hand(self):
        # s = -x: tr G = -d, so the exact loss at x is -d + |x|^2 / 2.
        work, x = Work("score", "exact", 2, ()), np.array([[3.0, 4.0]])
        found = reference.loss(work, [-np.eye(2), np.zeros(2)], x, np.ones((1, 1, 2)))
        self.assertAlmostEqual(found, -2 + 12.5)


if __name__ == "__main__":
    unittest.main()
