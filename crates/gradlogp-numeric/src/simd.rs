//! Run-time choice of the instruction set.

/// Runs `f` compiled for the best instruction set of this machine.
///
/// `f` and everything it calls must be `#[inline(always)]`: only what is inlined into the chosen
/// version is compiled with its instructions.
#[inline(always)]
pub fn dispatch<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}
