//! Text on the page: escaping, and numbers as people write them.

use super::data::Estimate;

/// Whether a character is invisible and changes how others are shown: controls, and marks that
/// override the writing direction.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text made safe for HTML content and quoted attributes. Control characters become spaces.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_control(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Text cut to a width of `most` characters, with an ellipsis where something was cut; wide (East
/// Asian) characters count twice. Control characters become spaces.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let width = |c: char| {
        if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{ffdc}' | '\u{1f300}'..) {
            2
        } else {
            1
        }
    };
    let clean = |c: char| if is_control(c) { ' ' } else { c };
    if text.chars().map(width).sum::<usize>() <= most {
        return text.chars().map(clean).collect();
    }
    let mut left = most.saturating_sub(1);
    let fits = |c: &char| {
        let fits = width(*c) <= left;
        left = left.saturating_sub(width(*c));
        fits
    };
    let mut out: String = text.chars().take_while(fits).map(clean).collect();
    out.push('…');
    out
}

/// "1 row", "2 rows".
pub(super) fn count(n: usize, thing: &str) -> String {
    format!("{} {thing}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// A count with thin spaces between groups of three digits.
pub(super) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// A number to four significant digits.
pub(super) fn number(v: f64) -> String {
    if !v.is_finite() {
        return "undefined".into();
    }
    let magnitude = order(v);
    if v == 0.0 || (-4..6).contains(&magnitude) {
        return fixed(v, (3 - magnitude).clamp(0, 8) as usize);
    }
    scientific(v, 3)
}

/// A value and its standard error, to two digits of the error: "-9.12 ± 0.08".
pub(super) fn estimate(e: Estimate) -> String {
    let Some(error) = e.standard_error.filter(|s| s.is_finite() && *s > 0.0) else {
        return number(e.value);
    };
    let decimals = 1 - order(error);
    let plain = e.value.is_finite() && order(e.value) < 6 && (-6..6).contains(&order(error));
    if !plain {
        return format!("{} ± {}", number(e.value), number(error));
    }
    let decimals = decimals.max(0) as usize;
    format!("{} ± {}", fixed(e.value, decimals), fixed(error, decimals))
}

/// A number with a fixed count of decimals and a proper minus sign; never "-0".
pub(super) fn fixed(v: f64, decimals: usize) -> String {
    let text = format!("{v:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_string(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// 10 to a power, in superscript digits.
pub(super) fn power_of_ten(power: i32) -> String {
    let superscript = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => c.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(c),
    };
    format!("10{}", power.to_string().chars().map(superscript).collect::<String>())
}

fn scientific(v: f64, decimals: usize) -> String {
    let text = format!("{v:.decimals$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{} × {}", mantissa.replace('-', "−"), power_of_ten(power.parse().unwrap_or(0)))
}

/// Decimal order of magnitude: 0 for 1 to 9.99.
fn order(v: f64) -> i32 {
    if v == 0.0 { 0 } else { v.abs().log10().floor() as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_harmless() {
        assert_eq!(
            escape("<script>alert('1')</script> & \"x\"\n"),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot; "
        );
    }

    #[test]
    fn shortening_counts_widths_not_bytes() {
        assert_eq!(shorten("größe", 5), "größe");
        assert_eq!(shorten("größenordnung", 5), "größ…");
        assert_eq!(shorten("长长长长", 5), "长长…");
        assert_eq!(shorten("\u{202e}x", 5), " x");
    }

    #[test]
    fn numbers_read_like_numbers() {
        assert_eq!(number(0.0), "0.000");
        assert_eq!(number(-12.3456), "−12.35");
        assert_eq!(number(1234.5), "1234");
        assert_eq!(number(1e12), "1.000 × 10¹²");
        assert_eq!(number(-2.5e-7), "−2.500 × 10⁻⁷");
        assert_eq!(number(f64::NAN), "undefined");
        assert_eq!(fixed(-0.0001, 2), "0.00");
        assert_eq!(grouped(1234567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(1, "row"), "1 row");
    }

    #[test]
    fn errors_set_the_digits() {
        let show = |value, se| estimate(Estimate { value, standard_error: se });
        assert_eq!(show(-9.1234, Some(0.0812)), "−9.123 ± 0.081");
        assert_eq!(show(1234.4, Some(35.0)), "1234 ± 35");
        assert_eq!(show(0.5, None), "0.5000");
        assert_eq!(show(f64::NAN, Some(0.1)), "undefined ± 0.1000");
        assert_eq!(show(1.0, Some(f64::NAN)), "1.000");
    }
}
