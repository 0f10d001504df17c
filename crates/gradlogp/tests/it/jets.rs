//! Jets and their adjoints against finite differences in f64, over a graph with every node kind.

use gradlogp::graph::{Graph, GraphBuilder};
use gradlogp::jet::{Coefficient, First, Inputs, Request, Tape};
use gradlogp::numeric::Activation;
use gradlogp::{Mlp, ModelKind};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const D: usize = 3;
const CONTEXT: usize = 2;

/// Every node kind, with shared inputs, a residual path, and mixed orders meeting at one node.
fn every_op(activation: Activation) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input(D);
    let context = b.context(0, CONTEXT);
    let gate = b.affine(context, 5, "gate");
    let gate = b.activation(gate, Activation::Sin);
    let joined = b.concat(&[x, context]);
    let h = b.affine(joined, 5, "first");
    let bent = b.activation(h, activation);
    // `h` and `bent` are both read twice: adjoints must add up.
    let h = b.add(h, bent);
    let h = b.multiply(h, gate);
    let again = b.linear(bent, 5, "second");
    let again = b.activation(again, Activation::Tanh);
    let h = b.multiply(h, again);
    let part = b.slice(h, 1, 3);
    let part = b.add(part, x);
    let total = b.sum(h);
    let norm = b.squared_norm(x);
    let scaled = b.scale(norm, -0.3);
    let inner = b.squared_norm(h);
    let direct = b.slice(x, 1, 2);
    // Products of what does not move with what is linear in x, and of two that are.
    let left = b.linear(x, 5, "left");
    let gated = b.multiply(gate, left);
    let right = b.linear(joined, 5, "right");
    let both = b.multiply(gated, right);
    let all = b.concat(&[part, total, scaled, inner, direct, gated, both]);
    b.affine(all, 2, "last");
    b.build().unwrap()
}

struct Case {
    graph: Graph,
    parameters: Vec<f64>,
    rows: usize,
    x: Vec<f64>,
    context: Vec<f64>,
    directions: Vec<f64>,
    request: Request,
}

impl Case {
    fn new(activation: Activation, request: Request, rows: usize) -> Self {
        let graph = every_op(activation);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut draw =
            |n: usize| -> Vec<f64> { (0..n).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let copies = if request.along() == First::PerRow { rows } else { 1 };
        let directions = draw(request.directions() * copies * D);
        Case {
            parameters: draw(graph.parameters().len()),
            x: draw(rows * D),
            context: draw(rows * CONTEXT),
            directions,
            graph,
            rows,
            request,
        }
    }

    fn direction(&self, m: usize, row: usize) -> &[f64] {
        let at = match self.request.along() {
            First::PerRow => m * self.rows + row,
            _ => m,
        };
        &self.directions[at * D..(at + 1) * D]
    }

    fn run(&self, tape: &mut Tape<f64>, parameters: &[f64], x: &[f64]) {
        let contexts = [self.context.as_slice()];
        let inputs =
            Inputs { rows: self.rows, x, contexts: &contexts, directions: &self.directions };
        tape.forward(&self.graph, parameters, inputs);
    }

    /// F(x + t v_m) for one row.
    fn moved(&self, m: usize, row: usize, t: f64) -> Vec<f64> {
        let mut x = self.x.clone();
        for (x, v) in x[row * D..(row + 1) * D].iter_mut().zip(self.direction(m, row)) {
            *x += t * v;
        }
        let mut tape = Tape::new(&self.graph, Request::Value);
        self.run(&mut tape, &self.parameters, &x);
        tape.output().value(row).to_vec()
    }

    /// A fixed linear functional of all output coefficients, whose adjoint is its weights.
    fn functional(&self, tape: &Tape<f64>) -> f64 {
        let mut sum = 0.0;
        self.for_each_coefficient(|c, row, weights| {
            let value = tape.output().row(c, row).unwrap();
            sum += value.iter().zip(weights).map(|(y, w)| y * w).sum::<f64>();
        });
        sum
    }

    fn for_each_coefficient(&self, mut f: impl FnMut(Coefficient, usize, [f64; 2])) {
        let mut coefficients = vec![Coefficient::Value];
        coefficients.extend((0..self.request.directions()).map(Coefficient::First));
        if self.request.curved() > 0 {
            coefficients.push(Coefficient::Second);
        }
        let mut k = 0.0;
        for c in coefficients {
            for row in 0..self.rows {
                k += 1.0;
                f(c, row, [f64::sin(k), f64::cos(1.7 * k)]);
            }
        }
    }
}

fn requests() -> Vec<Request> {
    vec![
        Request::Value,
        Request::first(First::PerRow, 2),
        Request::first(First::Shared, 3),
        Request::second(First::PerRow, 3, 3),
        Request::second(First::PerRow, 3, 2),
        Request::second(First::Shared, 3, 3),
        Request::second(First::Shared, 3, 1),
    ]
}

fn close(got: f64, want: f64, tolerance: f64, what: &str) {
    assert!((got - want).abs() <= tolerance * (1.0 + want.abs()), "{what}: {got} {want}");
}

#[test]
fn coefficients_match_finite_differences() {
    let smooth = Activation::ALL.into_iter().filter(|a| a.has_curvature());
    for (activation, request) in smooth.flat_map(|a| requests().into_iter().map(move |r| (a, r))) {
        let case = Case::new(activation, request, 2);
        let mut tape = Tape::new(&case.graph, request);
        case.run(&mut tape, &case.parameters, &case.x);
        let output = tape.output();
        let t = 1e-3;
        for row in 0..case.rows {
            let mut second = [0.0; 2];
            for m in 0..request.directions() {
                let f = |t: f64| case.moved(m, row, t);
                let (up, down, up2, down2) = (f(t), f(-t), f(2.0 * t), f(-2.0 * t));
                for k in 0..2 {
                    let slope = (8.0 * (up[k] - down[k]) - (up2[k] - down2[k])) / (12.0 * t);
                    let got = output.row(Coefficient::First(m), row).unwrap()[k];
                    close(got, slope, 1e-9, &format!("{activation:?} {request:?} first"));
                    if m < request.curved() {
                        let center = output.value(row)[k];
                        second[k] +=
                            (16.0 * (up[k] + down[k]) - (up2[k] + down2[k]) - 30.0 * center)
                                / (12.0 * t * t);
                    }
                }
            }
            if request.curved() > 0 {
                for k in 0..2 {
                    let got = output.row(Coefficient::Second, row).unwrap()[k];
                    close(got, second[k], 1e-7, &format!("{activation:?} {request:?} second"));
                }
            }
        }
    }
}

#[test]
fn adjoints_match_finite_differences() {
    for (activation, request) in
        Activation::ALL.into_iter().flat_map(|a| requests().into_iter().map(move |r| (a, r)))
    {
        // 41 rows: spans of the fused loops end in the middle.
        for rows in [1, 41] {
            let case = Case::new(activation, request, rows);
            let mut tape = Tape::new(&case.graph, request);
            let mut gradient = vec![0.0; case.parameters.len()];
            let mut x_bar = vec![0.0; case.x.len()];
            case.run(&mut tape, &case.parameters, &case.x);
            let mut backward = tape.backward();
            let mut bar = backward.bar();
            case.for_each_coefficient(|c, row, weights| {
                bar.row_mut(c, row).unwrap().copy_from_slice(&weights);
            });
            backward.run(&case.graph, &case.parameters, Some(&mut gradient), Some(&mut x_bar));

            let at = |parameters: &[f64], x: &[f64]| {
                let mut tape = Tape::new(&case.graph, request);
                case.run(&mut tape, parameters, x);
                case.functional(&tape)
            };
            let stride = if rows == 1 { 1 } else { 7 };
            let t = 1e-5;
            for i in (0..gradient.len()).step_by(stride) {
                let mut p = case.parameters.clone();
                p[i] += t;
                let up = at(&p, &case.x);
                p[i] -= 2.0 * t;
                let slope = (up - at(&p, &case.x)) / (2.0 * t);
                close(
                    gradient[i],
                    slope,
                    1e-6,
                    &format!("{activation:?} {request:?} parameter {i}"),
                );
            }
            for i in (0..x_bar.len()).step_by(stride) {
                let mut x = case.x.clone();
                x[i] += t;
                let up = at(&case.parameters, &x);
                x[i] -= 2.0 * t;
                let slope = (up - at(&case.parameters, &x)) / (2.0 * t);
                close(x_bar[i], slope, 1e-6, &format!("{activation:?} {request:?} x {i}"));
            }
        }
    }
}

#[test]
fn a_tape_gives_the_same_after_larger_and_smaller_batches() {
    let request = Request::second(First::PerRow, 2, 2);
    let mut reused = Tape::new(&every_op(Activation::Softplus), request);
    for rows in [5, 2, 7, 3] {
        let case = Case::new(Activation::Softplus, request, rows);
        let mut fresh = Tape::new(&case.graph, request);
        let mut gradients = [vec![0.0; case.parameters.len()], vec![0.0; case.parameters.len()]];
        for (tape, gradient) in [&mut reused, &mut fresh].into_iter().zip(&mut gradients) {
            case.run(tape, &case.parameters, &case.x);
            let mut backward = tape.backward();
            let mut bar = backward.bar();
            case.for_each_coefficient(|c, row, weights| {
                bar.row_mut(c, row).unwrap().copy_from_slice(&weights);
            });
            backward.run(&case.graph, &case.parameters, Some(gradient), None);
        }
        assert_eq!(gradients[0], gradients[1]);
    }
}

/// 2 -> 5 -> 4 -> 2 columns have 10, 20 and 8 weights, and a condition of three columns 15 more; 7 rows.
#[test]
fn operations_of_matrix_products_are_those_of_their_shapes() {
    let mlp = Mlp { hidden: vec![5, 4], ..Mlp::new(2, ModelKind::Score) };
    let count = |condition_dim: usize, request, parameters, input| {
        let graph = Mlp { condition_dim, ..mlp.clone() }.graph().unwrap();
        Tape::<f64>::new(&graph, request).product_operations(&graph, 7, parameters, input)
    };
    assert_eq!(count(0, Request::Value, false, false), 2 * 7 * 38);
    // Two directions for each row: 21 rows on the tape. What is left of x is nothing that anyone asks for.
    let per_row = Request::first(First::PerRow, 2);
    assert_eq!(count(0, per_row, false, false), 2 * 21 * 38);
    assert_eq!(count(0, per_row, true, false), 2 * 21 * (2 * 10 + 3 * 20 + 3 * 8));
    assert_eq!(count(0, per_row, false, true), 2 * 21 * 2 * 38);
    assert_eq!(count(0, per_row, true, true), 2 * 21 * 3 * 38);
    // Conditions do not move: 7 rows, and no adjoint.
    assert_eq!(count(3, per_row, true, true), 2 * 21 * 3 * 38 + 2 * 7 * 2 * 15);
    // Shared directions are two rows before the first bend; the second order is there behind it.
    let shared = Request::second(First::Shared, 2, 2);
    assert_eq!(count(0, shared, false, false), 2 * (9 * 10 + 28 * 28));
}

/// 30 -> 40 -> 6 -> 1 with one direction and the Laplacian: 14 rows on the tape before the first bend and 21
/// behind it; the products with the 40 x 40 Gram matrix, whose adjoint is formed in blocks of 32 columns,
/// so three quarters of it.
#[test]
fn operations_and_memory_of_a_laplacian_are_those_of_its_parts() {
    let mlp = Mlp { hidden: vec![40, 6], ..Mlp::new(30, ModelKind::LogDensity) };
    let model = mlp.build::<f64>(1).unwrap();
    let graph = model.graph();
    let mut tape = Tape::<f64>::new(graph, Request::Laplacian { count: 1 });
    let count = |parameters| tape.product_operations(graph, 7, parameters, false);
    assert_eq!(count(false), 2 * 14 * 1200 + 2 * 21 * 246 + 7 * 2 * 6 * 1600);
    let adjoint = 2 * 14 * 1200 * 2 + 2 * 21 * 246 * 3 + 7 * 2 * 6 * (1600 + 1200);
    assert_eq!(count(true), adjoint);
    // Half of the six units, each with 40 numbers in two buffers.
    assert_eq!((tape.extra_rows(), tape.bytes()), (3, 0));
    let (x, v) = (vec![0.1; 7 * 30], vec![1.0; 7 * 30]);
    tape.prepare(graph, &model.parameters);
    let inputs = Inputs { rows: 7, x: &x, contexts: &[], directions: &v };
    tape.forward(graph, &model.parameters, inputs);
    // Coefficients of every node, with one number per bend; G, its diagonal and their adjoints; slopes;
    // u and G u, and the sums with their adjoints.
    let nodes = 14 * (30 + 40) + 21 * (40 + 6 + 6 + 1) + 7 * (40 + 6);
    let spread = 2 * (1600 + 40) + 7 * 40 + 2 * (7 * 6 * 40) + 2 * 7 * 6;
    assert_eq!(tape.bytes(), 8 * (nodes + spread));
    // G itself, of 40 x 40 scalar products of 30 numbers, and its adjoint.
    assert_eq!(tape.shared_operations(graph, false), 2 * 1600 * 30);
    assert_eq!(tape.shared_operations(graph, true), 2 * 2 * 1600 * 30);
    // Of 80 x 80 two thirds, in three blocks.
    let graph = Mlp { hidden: vec![80, 6], ..mlp }.graph().unwrap();
    let wide = Tape::<f64>::new(&graph, Request::Laplacian { count: 1 });
    let rest = 2 * 14 * 2400 * 2 + 2 * 21 * 486 * 3;
    let products = 7 * 2 * 6 * (6400 + 6400 * 4 / 6);
    assert_eq!(wide.product_operations(&graph, 7, true, false), rest + products);
}

/// 3 -> 6 -> 5 -> 3 and 7 rows: values alone, beside one product of 5 x 6 per row and one of 5 x 3 x 6 for all.
#[test]
fn operations_and_memory_of_a_trace_are_those_of_its_parts() {
    let mlp = Mlp { hidden: vec![6, 5], ..Mlp::new(3, ModelKind::Score) };
    let model = mlp.build::<f64>(1).unwrap();
    let graph = model.graph();
    let mut tape = Tape::<f64>::new(graph, Request::Trace);
    let count = |parameters| tape.product_operations(graph, 7, parameters, false);
    assert_eq!(count(false), 2 * 7 * (63 + 30));
    assert_eq!(count(true), 2 * 7 * (2 * 18 + 3 * 45 + 3 * 30));
    assert_eq!(tape.shared_operations(graph, false), 2 * 30 * 3);
    assert_eq!(tape.shared_operations(graph, true), 3 * 2 * 30 * 3);
    let mut values = Tape::<f64>::new(graph, Request::Value);
    let x = [0.1; 7 * 3];
    for tape in [&mut tape, &mut values] {
        tape.prepare(graph, &model.parameters);
        let inputs = Inputs { rows: 7, x: &x, contexts: &[], directions: &[] };
        tape.forward(graph, &model.parameters, inputs);
    }
    // W1 W3, its product with W2 and that one's adjoint; slopes of eleven units; P h'1, and traces with their adjoints.
    assert_eq!(tape.bytes() - values.bytes(), 8 * (3 * 30 + 7 * 11 + 7 * 5 + 2 * 7));
    let mut projected =
        Tape::<f64>::new(graph, Request::Projected { along: First::PerRow, count: 2 });
    assert_eq!(projected.bytes(), 0);
    projected.prepare(graph, &model.parameters);
    let v = [1.0; 2 * 7 * 3];
    let inputs = Inputs { rows: 7, x: &x, contexts: &[], directions: &v };
    projected.forward(graph, &model.parameters, inputs);
    assert!(projected.bytes() > values.bytes());
}

/// With one hidden layer no square of its width is kept: 20,000 units would need 3.2 GB.
#[test]
fn the_trace_of_one_wide_layer_takes_memory_by_its_units() {
    let mlp = Mlp { hidden: vec![20_000], ..Mlp::new(2, ModelKind::Score) };
    let model = mlp.build::<f64>(1).unwrap();
    let mut tape = Tape::<f64>::new(model.graph(), Request::Trace);
    tape.prepare(model.graph(), &model.parameters);
    let inputs = Inputs { rows: 1, x: &[0.3, -0.7], contexts: &[], directions: &[] };
    tape.forward(model.graph(), &model.parameters, inputs);
    assert!(tape.bytes() < 8 * 20 * 20_000, "{} bytes", tape.bytes());
}

#[test]
fn requests_say_how_many_rows_they_need() {
    assert_eq!(Request::Value.coefficients(), 1);
    assert_eq!(Request::first(First::PerRow, 3).coefficients(), 4);
    assert_eq!(Request::second(First::PerRow, 3, 2).coefficients(), 5);
    assert_eq!(Request::Laplacian { count: 2 }.coefficients(), 4);
    assert_eq!(
        (Request::Laplacian { count: 0 }.along(), Request::Laplacian { count: 1 }.along()),
        (First::Zero, First::PerRow)
    );
}
