//! Multilayer perceptrons: the default networks.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::conditioning::{Conditioning, film};
use super::gaussians::log_mixture;
use super::members::{average, check_members, is_one, one};
use super::{Model, ModelKind};
use crate::graph::{Graph, GraphBuilder, NodeId};
use crate::{Error, Result};
use gradlogp_numeric::{Activation, Real};

/// A multilayer perceptron as settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mlp {
    /// Columns of x.
    pub dim: usize,
    /// Score field or potential.
    pub kind: ModelKind,
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// The nonlinearity after each hidden layer.
    pub activation: Activation,
    /// h + activation(W h + b) instead of activation(W h + b) where widths agree.
    pub residual: bool,
    /// Potentials: adds -|x|^2 / (2 tau^2), so that exp f can be normalized.
    pub base_scale: Option<f64>,
    /// Potentials: Gaussians of the mixture that the network adds to; 0 for none. Their parameters come from a
    /// fit of their own.
    #[serde(default, skip_serializing_if = "is_none")]
    pub base_components: usize,
    /// Columns of the condition c that the first layer reads beside x, as context 0: its output is
    /// W x + V c + b. 0 for none. c is not differentiated: the model is of p(x | c).
    #[serde(default, rename = "given")]
    pub condition_dim: usize,
    /// How c enters. With FiLM the first layer does not read it; every hidden layer is stretched and shifted by it.
    #[serde(default)]
    pub conditioning: Conditioning,
    /// Networks whose outputs are averaged: their scores, whatever the kind.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub members: usize,
}

impl Mlp {
    /// Softplus, two hidden layers of 128, no residuals, no base, no condition.
    pub fn new(dim: usize, kind: ModelKind) -> Self {
        Mlp {
            dim,
            kind,
            hidden: vec![128, 128],
            activation: Activation::Softplus,
            residual: false,
            base_scale: None,
            base_components: 0,
            condition_dim: 0,
            conditioning: Conditioning::Concat,
            members: 1,
        }
    }

    fn validate(&self) -> Result<()> {
        if self.dim == 0 {
            return Err(Error::config("dim", "must be at least 1"));
        }
        check_members(self.members)?;
        if self.hidden.contains(&0) {
            return Err(Error::config("hidden", "every layer needs at least one unit"));
        }
        if self.is_film() && self.hidden.is_empty() {
            return Err(Error::config(
                "conditioning",
                "film acts on hidden layers, and there is none",
            ));
        }
        if self.base_components > 0 && (self.kind == ModelKind::Score || self.base_scale.is_some())
        {
            let message = "a base of Gaussians belongs to a potential without `base_scale`";
            return Err(Error::config("base_components", message));
        }
        match self.base_scale {
            Some(_) if self.kind == ModelKind::Score => {
                Err(Error::config("base_scale", "a Gaussian base belongs to a potential"))
            }
            Some(tau) if !(tau > 0.0 && tau.is_finite()) => {
                Err(Error::config("base_scale", format!("must be a positive number, not {tau}")))
            }
            _ => Ok(()),
        }
    }

    /// The graph: layers `net.0`, `net.1`, ..., and `net.condition` for V, or `condition.0.factor`, ... for
    /// FiLM; of several members each behind `member.0.`, `member.1.`, ..., one after the other.
    ///
    /// # Errors
    /// A zero width, or a base scale that is not positive or not on a potential.
    pub fn graph(&self) -> Result<Graph> {
        self.validate()?;
        let mut b = GraphBuilder::new();
        let x = b.input(self.dim);
        let condition = self.is_film().then(|| b.context(0, self.condition_dim));
        let output = average(&mut b, self.members, |b, name| self.member(b, x, condition, name));
        if let Some(tau) = self.base_scale {
            let norm = b.squared_norm(x);
            let base = b.scale(norm, -0.5 / (tau * tau));
            b.add(output, base);
        }
        if self.base_components > 0 {
            let base = log_mixture(&mut b, x, self.dim, self.base_components);
            b.add(output, base);
        }
        b.build()
    }

    fn member(
        &self,
        b: &mut GraphBuilder,
        x: NodeId,
        condition: Option<NodeId>,
        name: &str,
    ) -> NodeId {
        let (mut h, mut width) = (x, self.dim);
        for (layer, &next) in self.hidden.iter().enumerate() {
            let linear = self.layer(b, h, next, layer, name);
            let mut activated = b.activation(linear, self.activation);
            if let Some(condition) = condition {
                activated = film(b, activated, condition, next, &format!("{name}given.{layer}"));
            }
            let skip = self.residual && layer > 0 && next == width;
            h = if skip { b.add(h, activated) } else { activated };
            width = next;
        }
        let out = match self.kind {
            ModelKind::Score => self.dim,
            ModelKind::LogDensity => 1,
        };
        self.layer(b, h, out, self.hidden.len(), name)
    }

    fn is_film(&self) -> bool {
        self.condition_dim > 0 && self.conditioning == Conditioning::Film
    }

    /// W h + b, in the first layer with V c unless FiLM is to bring c in.
    fn layer(
        &self,
        b: &mut GraphBuilder,
        h: NodeId,
        width: usize,
        layer: usize,
        name: &str,
    ) -> NodeId {
        let linear = b.affine(h, width, &format!("{name}net.{layer}"));
        if layer > 0 || self.condition_dim == 0 || self.is_film() {
            return linear;
        }
        // As one matrix over (x, c), but x's directions need not carry the zeros of c.
        let condition = b.context(0, self.condition_dim);
        let shift = b.linear(condition, width, &format!("{name}net.given"));
        b.add(linear, shift)
    }

    /// The model with parameters drawn by [`initialize`].
    ///
    /// # Errors
    /// As [`Mlp::graph`] and [`Model::new`].
    pub fn build<T: Real>(&self, seed: u64) -> Result<Model<T>> {
        let graph = self.graph()?;
        let parameters = initialize(&graph, seed);
        Model::new(self.kind, graph, parameters)
    }
}

fn is_none(components: &usize) -> bool {
    *components == 0
}

/// Initial parameters: weights uniform with variance 1 / fan-in, biases uniform in
/// +-1 / sqrt(fan-in) of the weight before them, so that units have their nonlinearity at different places.
pub fn initialize<T: Real>(graph: &Graph, seed: u64) -> Vec<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut fan_in = 1usize;
    let mut out = Vec::with_capacity(graph.parameters().len());
    for (parameter, range) in graph.parameters().iter() {
        let is_weight = parameter.shape.len() == 2;
        if is_weight {
            fan_in = parameter.shape[1];
        }
        let spread = if is_weight { 3f64.sqrt() } else { 1.0 } / (fan_in as f64).sqrt();
        out.extend(range.map(|_| T::of(rng.random_range(-spread..spread))));
    }
    out
}
