//! Numbers in messages.

/// A number with four significant digits.
///
/// ```
/// use gradlogp::words::short;
///
/// assert_eq!((short(-13.45678), short(1.0e9)), ("-13.46".to_string(), "1.000e9".to_string()));
/// ```
pub fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let digits = 3 - x.abs().log10().floor() as i32;
    if (-2..=7).contains(&digits) {
        format!("{x:.*}", digits.max(0) as usize)
    } else {
        format!("{x:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_keep_four_digits() {
        assert_eq!(short(-13.45678), "-13.46");
        assert_eq!(short(0.00123456), "0.001235");
        assert_eq!(short(123456.0), "123456");
        assert_eq!(short(1.0e9), "1.000e9");
        assert_eq!(short(f64::NAN), "NaN");
    }
}
