//! Files of named f32 arrays with a JSON description (safetensors), written atomically.

mod atomic;
mod descriptor;
mod faults;
mod tensor_file;

pub use atomic::{discard_unfinished, file_behind, write_atomically};
#[cfg(test)]
pub(crate) use faults::failing;
pub use tensor_file::{Tensor, TensorFile};
