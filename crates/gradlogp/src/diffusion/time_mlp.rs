//! Time-conditional multilayer perceptrons.
//!
//! With x_t = a x + b z (a and b the scale and std of the kernel) and columns of standard deviation 1, the
//! best linear score is -x / (a^2 + b^2). The network N learns the rest, MATH (46), at a scale of 1 throughout:
//!
//! ```text
//! score field:  s(x, t) = -x / r^2 + G N(x / r, t),              r = sqrt(a^2 + b^2)
//! potential:    f(x, t) = -|x|^2 / (2 r^2) + G r N(x / r, t),    s = grad f
//! G = a / (r sqrt(b^2 + w^2))
//! ```
//!
//! With w = 0 this is the scaling of Karras et al. 2022, table 1, as a score, and for small noise that of the
//! output by 1/b (Song and Ermon 2020, technique 3): right for data in points, whose score does grow as 1/b. The
//! score of a density whose finest structure has the width w stays of the order of 1/w, and a factor 1/b would
//! only enlarge the network's error. Without a kernel, `scaled = false` takes N(x, t) as it is, and in a
//! [`Frame`](super::Frame), whose columns have width 1 at every t, r = G = 1.
//!
//! t enters as features (context 0), either beside x in the first layer, or at every hidden layer as
//! a factor and a shift (FiLM, Perez et al. 2018): h (1 + U c) + V c. Contexts carry no derivative.

use serde::{Deserialize, Serialize};

use super::{Clock, TimeFeatures};
use crate::graph::{Graph, GraphBuilder, NodeId};
use crate::model::members::{average, check_members, is_one, one, without_member};
use crate::model::{Conditioning, Model, ModelKind, film, initialize};
use crate::sde::Kernel;
use crate::{Error, Result};
use gradlogp_numeric::{Activation, Real};

/// Sizes of the initial weights of the time and of x, beside the usual ones.
const TIME_START: f64 = 0.3;
const INPUT_START: f64 = 3.0;

/// Most columns, and most features of the time.
const MOST_WIDTH: usize = 1 << 24;

/// A time-conditional multilayer perceptron as settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeMlp {
    /// Columns of x.
    pub dim: usize,
    /// Score field or potential.
    pub kind: ModelKind,
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// The nonlinearity after each hidden layer.
    pub activation: Activation,
    /// Features of t that the network reads.
    pub features: TimeFeatures,
    /// How.
    pub conditioning: Conditioning,
    /// Whether input and output are scaled by the noise level.
    pub scaled: bool,
    /// w, in units of x: the noise below which the output's factor grows no further. 0: none, as in models of
    /// files that do not say.
    #[serde(default)]
    pub floor: f64,
    /// Networks whose outputs are averaged: their scores at every noise level, whatever the kind.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub members: usize,
}

impl TimeMlp {
    /// The usual floor, for columns of standard deviation 1.
    pub const FLOOR: f64 = 0.1;

    /// SiLU, two hidden layers of 128, eight frequencies, FiLM, scaled with floor 0.1.
    pub fn new(dim: usize, kind: ModelKind) -> Self {
        TimeMlp {
            dim,
            kind,
            hidden: vec![128, 128],
            activation: Activation::Silu,
            features: TimeFeatures::Fourier { frequencies: 8 },
            conditioning: Conditioning::Film,
            scaled: true,
            floor: Self::FLOOR,
            members: 1,
        }
    }

    fn outputs(&self) -> usize {
        match self.kind {
            ModelKind::Score => self.dim,
            ModelKind::LogDensity => 1,
        }
    }

    /// Columns of the context that holds the gains: of the input, of the linear part, of the output.
    fn gains(&self) -> usize {
        self.dim + 2 * self.outputs()
    }

    /// The graph: layers `net.0`, `net.1`, ..., with `time...` for what reads the time; of several members each
    /// behind `member.0.`, `member.1.`, ..., one after the other.
    ///
    /// # Errors
    /// A zero width; a floor that is not zero or a positive number.
    pub fn graph(&self) -> Result<Graph> {
        if self.dim == 0 || self.hidden.contains(&0) || self.hidden.is_empty() {
            return Err(Error::config("hidden", "every layer needs at least one unit"));
        }
        check_members(self.members)?;
        if !(self.floor >= 0.0 && self.floor.is_finite()) {
            let message = format!("must be 0 or a positive number, not {}", self.floor);
            return Err(Error::config("noise_floor", message));
        }
        // Far beyond any use, and sums of them can still be counted.
        if self.dim > MOST_WIDTH || self.features.width() > MOST_WIDTH {
            let message = format!("at most {MOST_WIDTH} columns or features of the time");
            return Err(Error::config("features", message));
        }
        let mut b = GraphBuilder::new();
        let x = b.input(self.dim);
        let time = b.context(0, self.features.width());
        if !self.scaled {
            self.network(&mut b, x, time);
            return b.build();
        }
        let (d, outputs) = (self.dim, self.outputs());
        let gains = b.context(1, self.gains());
        let input = b.slice(gains, 0, d);
        let linear = b.slice(gains, d, outputs);
        let output = b.slice(gains, d + outputs, outputs);
        let inside = b.multiply(x, input);
        let y = self.network(&mut b, inside, time);
        let rest = b.multiply(y, output);
        let base = match self.kind {
            ModelKind::Score => x,
            ModelKind::LogDensity => b.squared_norm(x),
        };
        let base = b.multiply(base, linear);
        b.add(base, rest);
        b.build()
    }

    /// The mean of the members' outputs.
    fn network(&self, b: &mut GraphBuilder, x: NodeId, time: NodeId) -> NodeId {
        average(b, self.members, |b, name| self.member(b, x, time, name))
    }

    fn member(&self, b: &mut GraphBuilder, x: NodeId, time: NodeId, name: &str) -> NodeId {
        let mut h = x;
        for (layer, &width) in self.hidden.iter().enumerate() {
            let mut linear = b.affine(h, width, &format!("{name}net.{layer}"));
            if self.conditioning == Conditioning::Concat && layer == 0 {
                let shift = b.linear(time, width, &format!("{name}time.shift"));
                linear = b.add(linear, shift);
            }
            h = b.activation(linear, self.activation);
            if self.conditioning == Conditioning::Film {
                h = film(b, h, time, width, &format!("{name}time.{layer}"));
            }
        }
        b.affine(h, self.outputs(), &format!("{name}net.{}", self.hidden.len()))
    }

    /// The network with initial weights; those of the time are small, so that it begins nearly the same at all
    /// times, and those of x large, so that units are nonlinear over less than the whole range of the data.
    ///
    /// # Errors
    /// As [`TimeMlp::graph`] and [`Model::new`].
    pub fn build<T: Real>(&self, seed: u64) -> Result<Model<T>> {
        let graph = self.graph()?;
        let mut parameters = initialize(&graph, seed);
        for (parameter, range) in graph.parameters().iter() {
            let size = match without_member(&parameter.name) {
                "net.0.weight" => INPUT_START,
                name if name.starts_with("time.") => TIME_START,
                _ => 1.0,
            };
            parameters[range].iter_mut().for_each(|p: &mut T| *p *= T::of(size));
        }
        Model::new(self.kind, graph, parameters)
    }

    /// Writes the contexts of rows at these `times`, by slot.
    pub fn write_contexts<T: Real>(&self, clock: &Clock, times: &[f64], out: &mut Vec<Vec<T>>) {
        out.resize_with(if self.scaled { 2 } else { 1 }, Vec::new);
        out.iter_mut().for_each(Vec::clear);
        for t in times {
            clock.write_features(self.features, *t, &mut out[0]);
            if self.scaled {
                let gains = match clock.frame() {
                    None => self.gains_of(clock.noise(*t)),
                    // Columns of width 1: r = G = 1.
                    Some(_) => (1.0, 1.0),
                };
                self.write_gains(gains, &mut out[1]);
            }
        }
    }

    /// G, the size of what the network adds to the linear score where x_t has this kernel; 1 if it is not
    /// scaled.
    pub fn gain(&self, kernel: Kernel) -> f64 {
        if !self.scaled {
            return 1.0;
        }
        let Kernel { scale, std } = kernel;
        scale / (scale.hypot(std) * std.hypot(self.floor))
    }

    /// r^2 and G.
    fn gains_of(&self, kernel: Kernel) -> (f64, f64) {
        (kernel.scale * kernel.scale + kernel.std * kernel.std, self.gain(kernel))
    }

    fn write_gains<T: Real>(&self, (square, gain): (f64, f64), out: &mut Vec<T>) {
        let (linear, output) = match self.kind {
            ModelKind::Score => (-1.0 / square, gain),
            ModelKind::LogDensity => (-0.5 / square, gain * square.sqrt()),
        };
        let mut fill = |count: usize, value: f64| {
            out.extend(std::iter::repeat_n(T::of(value), count));
        };
        fill(self.dim, 1.0 / square.sqrt());
        fill(self.outputs(), linear);
        fill(self.outputs(), output);
    }
}
