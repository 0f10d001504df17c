//! The family as settings: what is learnt, where it lies in the flat vector, how it starts, and the
//! same density as an ordinary potential.

use std::ops::Range;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::graph::{Graph, GraphBuilder, NodeId};
use crate::model::{Model, ModelKind};
use crate::{Error, Result};
use gradlogp_numeric::{Activation, Real};

/// A (deep) kernel exponential family as settings.
///
/// log p(x) = -|x|^2 / (2 tau^2) + sum over m of alpha_m k(x, z_m) + constant, with
/// k(x, z) = sum over r of rho_r exp(-|phi_r(x) - phi_r(z)|^2 / (2 * 10^(s_r))), MATH (60).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelFamily {
    /// Columns of x, d.
    pub dim: usize,
    /// Inducing points z_m, M.
    pub inducing: usize,
    /// Initial s_r, the base-10 logarithm of each kernel's squared width; their number is R.
    pub log_widths: Vec<f64>,
    /// Width of the layers of each phi_r, and number of its features; None: phi is the identity and the
    /// family a plain kernel exponential family on inducing points (Nystrom).
    pub features: Option<usize>,
    /// Standard deviation tau of the base density N(0, tau^2 I).
    pub base_sd: f64,
    /// Initial base-10 logarithm of the ridge lambda.
    pub log_lambda: f64,
}

impl KernelFamily {
    /// The family of Wenliang et al. (2019) as the sliced score matching paper uses it: 200 inducing
    /// points, three kernels over 30 features, base N(0, 4 I).
    pub fn deep(dim: usize) -> Self {
        KernelFamily {
            dim,
            inducing: 200,
            log_widths: vec![0.0, 0.5185, 1.0],
            features: Some(30),
            base_sd: 2.0,
            log_lambda: -2.0,
        }
    }

    /// One Gaussian kernel of squared width 10^`log_width` on x itself.
    pub fn plain(dim: usize, log_width: f64) -> Self {
        KernelFamily { log_widths: vec![log_width], features: None, ..Self::deep(dim) }
    }

    /// Refuses settings that no family has.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        if self.dim == 0 {
            return Err(Error::config("dim", "must be at least 1"));
        }
        if self.inducing == 0 {
            return Err(Error::config("inducing", "needs at least one inducing point"));
        }
        if self.log_widths.is_empty() || self.log_widths.iter().any(|s| !s.is_finite()) {
            return Err(Error::config("log_widths", "needs at least one kernel, each finite"));
        }
        if self.features == Some(0) {
            return Err(Error::config("features", "every feature layer needs at least one unit"));
        }
        if !positive(self.base_sd) {
            return Err(Error::config("base_sd", "must be a positive number"));
        }
        if !self.log_lambda.is_finite() {
            return Err(Error::config("log_lambda", "must be finite"));
        }
        Ok(())
    }

    /// The graph of one phi: two softplus layers and a linear one, plus a linear skip; the identity for
    /// plain families.
    pub(super) fn feature_graph(&self) -> Result<Graph> {
        let mut b = GraphBuilder::new();
        let x = b.input(self.dim);
        features(&mut b, x, self.features, "phi");
        b.build()
    }

    /// Where everything lies.
    ///
    /// # Errors
    /// As [`KernelFamily::validate`].
    pub fn layout(&self) -> Result<Layout> {
        self.validate()?;
        let net = self.feature_graph()?.parameters().len();
        let kernels = self.log_widths.len();
        let widths = net * kernels;
        let inducing = widths + 2 * kernels;
        let log_lambda = inducing + self.inducing * self.dim;
        Ok(Layout { net, kernels, inducing: inducing..log_lambda, log_lambda })
    }

    /// Initial parameters. Every weight and bias of phi is N(0, 1) / sqrt(rows of the weight); the
    /// inducing points are rows of `x` (n x d) drawn without replacement, and with replacement only
    /// where there are fewer rows than points.
    ///
    /// # Errors
    /// As [`KernelFamily::validate`], and where `x` has no row.
    pub fn initialize<T: Real>(&self, x: &[T], rng: &mut impl Rng) -> Result<Vec<T>> {
        let layout = self.layout()?;
        let rows = x.len() / self.dim;
        if rows == 0 {
            return Err(Error::data("training rows", "there are none"));
        }
        let mut theta = Vec::with_capacity(layout.len());
        let graph = self.feature_graph()?;
        for _ in 0..layout.kernels {
            for (parameter, range) in graph.parameters().iter() {
                let scale = 1.0 / (parameter.shape[0] as f64).sqrt();
                let mut draw = || -> f64 { StandardNormal.sample(&mut *rng) };
                theta.extend(range.map(|_| T::of(draw() * scale)));
            }
        }
        theta.extend(self.log_widths.iter().map(|s| T::of(*s)));
        theta.extend(std::iter::repeat_n(T::ZERO, layout.kernels));
        for row in choose(rows, self.inducing, rng) {
            theta.extend_from_slice(&x[row * self.dim..(row + 1) * self.dim]);
        }
        theta.push(T::of(self.log_lambda));
        Ok(theta)
    }

    /// The density as a potential network, for everything that takes one. `constant` is added to log p
    /// (minus the log normalizer, where that is known).
    ///
    /// Per kernel r its tensors are `phi.r.*`, `kernel.r.centres.weight` = phi(z) / 10^s and `.bias` =
    /// -|phi(z)|^2 / (2 * 10^s), `kernel.r.norm.weight` = -1 / (2 * 10^s), and `kernel.r.alpha.weight` =
    /// rho_r alpha: the exponent is multiplied out.
    ///
    /// # Errors
    /// As [`KernelFamily::validate`]; [`Error::Shape`] where lengths differ.
    pub fn potential<T: Real>(
        &self,
        theta: &[T],
        alpha: &[f64],
        constant: f64,
    ) -> Result<Model<f32>> {
        let layout = self.layout()?;
        if (theta.len(), alpha.len()) != (layout.len(), self.inducing) {
            return Err(Error::Shape {
                operation: "kernel family",
                expected: vec![layout.len(), self.inducing],
                found: vec![theta.len(), alpha.len()],
            });
        }
        let theta: Vec<f64> = theta.iter().map(|t| t.to_f64()).collect();
        let graph = self.potential_graph(&layout)?;
        let rho = layout.weights(&theta);
        let mut values: Vec<f64> = Vec::with_capacity(graph.parameters().len());
        for r in 0..layout.kernels {
            let width = 10f64.powf(theta[layout.log_width(r)]);
            let net = &theta[layout.net(r)];
            let points = self.centres(net, &theta[layout.inducing.clone()])?;
            values.extend_from_slice(net);
            values.extend(points.iter().map(|c| c / width));
            let half = |c: &[f64]| c.iter().map(|c| c * c).sum::<f64>() / (2.0 * width);
            values.extend(points.chunks(points.len() / self.inducing).map(|c| -half(c)));
            values.extend(std::iter::repeat_n(-0.5 / width, self.inducing));
            values.extend(alpha.iter().map(|a| a * rho[r]));
            if r == 0 {
                values.push(constant);
            }
        }
        let parameters = values.into_iter().map(|v| v as f32).collect();
        Model::new(ModelKind::LogDensity, graph, parameters)
    }

    /// phi of the inducing points, M x H.
    fn centres(&self, net: &[f64], points: &[f64]) -> Result<Vec<f64>> {
        use crate::jet::{Inputs, Request, Tape};
        let graph = self.feature_graph()?;
        let mut tape = Tape::new(&graph, Request::Value);
        let inputs = Inputs { rows: self.inducing, x: points, contexts: &[], directions: &[] };
        tape.forward(&graph, net, inputs);
        Ok((0..self.inducing).flat_map(|m| tape.output().value(m).to_vec()).collect())
    }

    fn potential_graph(&self, layout: &Layout) -> Result<Graph> {
        let mut b = GraphBuilder::new();
        let x = b.input(self.dim);
        let norm = b.squared_norm(x);
        let mut sum = b.scale(norm, -0.5 / (self.base_sd * self.base_sd));
        for r in 0..layout.kernels {
            let p = features(&mut b, x, self.features, &format!("phi.{r}"));
            let name = |part: &str| format!("kernel.{r}.{part}");
            let towards = b.affine(p, self.inducing, &name("centres"));
            let norm = b.squared_norm(p);
            let spread = b.linear(norm, self.inducing, &name("norm"));
            let exponent = b.add(towards, spread);
            let bumps = b.activation(exponent, Activation::Exp);
            let term = match r {
                0 => b.affine(bumps, 1, &name("alpha")),
                _ => b.linear(bumps, 1, &name("alpha")),
            };
            sum = b.add(sum, term);
        }
        b.build()
    }
}

/// phi of node `x`; parameters in the order 0, 1, 2, skip.
fn features(b: &mut GraphBuilder, x: NodeId, width: Option<usize>, name: &str) -> NodeId {
    let Some(width) = width else { return x };
    let mut h = x;
    for layer in 0..2 {
        h = b.affine(h, width, &format!("{name}.{layer}"));
        h = b.activation(h, Activation::Softplus);
    }
    let activated = b.affine(h, width, &format!("{name}.2"));
    let skip = b.linear(x, width, &format!("{name}.skip"));
    b.add(activated, skip)
}

/// `count` of 0..n: without replacement while there are enough.
pub(super) fn choose(n: usize, count: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut pool: Vec<usize> = Vec::new();
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        if pool.is_empty() {
            pool = (0..n).collect();
        }
        let k = rng.random_range(0..pool.len());
        out.push(pool.swap_remove(k));
    }
    out
}

/// Places in the flat vector: R networks, R s_r, R logits of rho, z (M x d), log10 lambda.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    net: usize,
    pub(super) kernels: usize,
    /// Where z lies, M x d.
    pub inducing: Range<usize>,
    /// Where log10 lambda lies: the last one.
    pub log_lambda: usize,
}

impl Layout {
    /// Scalars in all.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.log_lambda + 1
    }

    pub(super) fn net(&self, r: usize) -> Range<usize> {
        r * self.net..(r + 1) * self.net
    }

    pub(super) fn log_width(&self, r: usize) -> usize {
        self.net * self.kernels + r
    }

    pub(super) fn logit(&self, r: usize) -> usize {
        self.net * self.kernels + self.kernels + r
    }

    /// rho = softmax of the logits.
    pub(super) fn weights<T: Real>(&self, theta: &[T]) -> Vec<f64> {
        let logits: Vec<f64> = (0..self.kernels).map(|r| theta[self.logit(r)].to_f64()).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logits.iter().map(|l| (l - largest).exp()).collect();
        let total: f64 = powers.iter().sum();
        powers.iter().map(|p| p / total).collect()
    }
}
