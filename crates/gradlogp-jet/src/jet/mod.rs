//! Jets: truncated Taylor series pushed through a graph, and their adjoints.
//!
//! For directions v_1 ... v_M at a row x, follow y(t) = F(x + t v_m). The engine carries
//! - the value y0 = F(x),
//! - the first order y1^(m) = dF/dt along each direction, and
//! - the **collapsed** second order y2 = sum over m of d2F/dt2 along v_m (MATH 5: the sum is all that
//!   any objective needs, and it obeys a rule of its own; M slices cost 2 + M coefficients, not 1 + 2M).
//!
//! One file per node kind holds its three rules side by side: which coefficients its output has
//! (`form`), how they are computed (`forward`) and how adjoints go back (`adjoint`). [`Tape`] runs
//! them over a graph. A coefficient that is zero for every input (second order before the first
//! nonlinearity, any order of a context) is absent from the [`Form`] and never computed.
//!
//! The second order over *all* unit vectors, a Laplacian, needs none of them to be followed where a graph
//! is nonlinear only twice: `gram.rs`, at a cost that does not depend on the number of columns. Neither does the
//! trace of the Jacobian of such a graph with as many outputs as inputs: `trace.rs`.

mod activation;
mod add;
mod affine;
mod concat;
mod form;
mod gram;
mod multiply;
mod projected;
mod scale;
mod shortcuts;
mod slice;
mod squared_norm;
mod sum;
mod tape;
mod trace;
mod unit_tangents;

pub use form::{Coefficient, First, Form, Jet, JetMut, Request};
pub use shortcuts::{has_laplacian, has_projected, has_trace};
pub use tape::{Backward, Inputs, Tape};
