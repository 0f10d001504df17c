//! A network of one's own: log p(x, y) = f(x) + g(x) * y^2, whose parts share a layer.

#![allow(clippy::print_stdout)]

use std::ops::ControlFlow;

use gradlogp::graph::GraphBuilder;
use gradlogp::model::initialize;
use gradlogp::numeric::Activation;
use gradlogp::train::{TrainConfig, Trainer};
use gradlogp::{Model, ModelKind, Objective, Score};
use ndarray::array;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// y given x is normal with variance 1 / (1 + x^2).
fn rows(n: usize, rng: &mut impl Rng) -> Vec<f32> {
    let mut normal = || -> f64 { StandardNormal.sample(rng) };
    (0..n)
        .flat_map(|_| {
            let x = normal();
            [x as f32, (normal() / (1.0 + x * x).sqrt()) as f32]
        })
        .collect()
}

fn main() -> gradlogp::Result<()> {
    let mut b = GraphBuilder::new();
    let input = b.input(2);
    let (x, y) = (b.slice(input, 0, 1), b.slice(input, 1, 1));
    let hidden = b.affine(x, 32, "shared");
    let hidden = b.activation(hidden, Activation::Softplus);
    let (f, g) = (b.affine(hidden, 1, "f"), b.affine(hidden, 1, "g"));
    let square = b.squared_norm(y);
    let product = b.multiply(g, square);
    b.add(f, product);
    let graph = b.build()?;

    let parameters = initialize(&graph, 0);
    let model = Model::<f32>::new(ModelKind::LogDensity, graph, parameters)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let (training, held_out) = (rows(4000, &mut rng), rows(500, &mut rng));
    let objective = Objective::Exact;
    let config =
        TrainConfig { objective, steps: 2000, learning_rate: 5e-3, ..TrainConfig::default() };
    let mut trainer = Trainer::new(model, training, held_out.as_slice(), config)?;
    trainer.run(&mut |_, _| ControlFlow::Continue(()));
    // d log p / dy = -(1 + x^2) y.
    let score = trainer.best_model().score(array![[0.0, 1.0], [1.0, 1.0]].view());
    println!(
        "d/dy at x = 0: {:.2}, the truth -1; at x = 1: {:.2}, the truth -2",
        score[[0, 1]],
        score[[1, 1]]
    );
    Ok(())
}
