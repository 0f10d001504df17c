//! Files of named f32 arrays with a JSON description (safetensors), written atomically.

mod atomic;
mod tensor_file;

pub use atomic::write_atomically;
pub use tensor_file::{Tensor, TensorFile};
