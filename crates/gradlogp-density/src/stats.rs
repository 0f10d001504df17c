//! Order statistics.

/// The numbers in ascending order, NaN last.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut out: Vec<f64> = values.into_iter().collect();
    out.sort_by(f64::total_cmp);
    out
}

/// The value of sorted numbers at a share of them, linear between two where it falls between; None without numbers.
///
/// ```
/// use gradlogp_density::stats::quantile;
/// assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
/// assert_eq!(quantile(&[], 0.5), None);
/// ```
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (at - at.floor()) * (high - low))
}

/// The middle value, or the mean of the two in the middle; None without numbers.
///
/// ```
/// use gradlogp_density::stats::median;
/// assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
/// assert_eq!(median([4.0, 1.0]), Some(2.5));
/// ```
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let sorted = sorted(values);
    let n = sorted.len();
    (n > 0).then(|| 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]))
}

/// The middle value, or the larger of the two in the middle: always one of the numbers. None without numbers.
///
/// ```
/// assert_eq!(gradlogp_density::stats::upper_median([4.0, 1.0]), Some(4.0));
/// ```
pub fn upper_median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let sorted = sorted(values);
    sorted.get(sorted.len() / 2).copied()
}
