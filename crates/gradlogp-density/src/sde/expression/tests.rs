//! What expressions mean, and what is refused.

use super::*;
use crate::sde::Sde;

fn columns() -> Vec<String> {
    ["a", "b c", "t2"].map(String::from).to_vec()
}

fn read(text: &str) -> Expression {
    Expression::read(text, &columns(), Some(0)).unwrap()
}

/// The value at a = 3, "b c" = 5, t2 = 7, t = 0.5, with `x` for the first column.
fn value(text: &str) -> f64 {
    read(text).value(&[3.0, 5.0, 7.0], 0.5)
}

fn refusal(text: &str, columns: &[String], own: Option<usize>) -> String {
    Expression::read_as("drift", text, columns, own).unwrap_err().to_string()
}

#[test]
fn expressions_mean_what_mathematics_means() {
    for (text, expected) in [
        ("-x^2", -9.0),
        ("2*-x^2", -18.0),
        ("2-x^2", -7.0),
        ("x^-2", 1.0 / 9.0),
        ("2^-1", 0.5),
        ("2^-x^2", 2f64.powi(-9)),
        ("2^3^2", 512.0),
        ("-2^2", -4.0),
        ("(-2)^2", 4.0),
        ("(-2)^3", -8.0),
        ("(-2)^-3", -0.125),
        ("0^0", 1.0),
        ("(x - 3)^0", 1.0),
        ("0^2", 0.0),
        ("2^0.5", 2f64.sqrt()),
        ("8-3-2", 3.0),
        ("8/4/2", 1.0),
        ("8/4*2", 4.0),
        ("2+3*4", 14.0),
        ("x*-2", -6.0),
        ("x - -2", 5.0),
        ("x--2", 5.0),
        ("+x", 3.0),
        ("--x", 3.0),
        ("-+-x", 3.0),
        ("x \u{2212} 1", 2.0),
        ("\u{2212}x^2", -9.0),
        ("a*{b c} + t2 - t", 21.5),
        ("a*\"b c\" - 'b c'/`b c`", 14.0),
        ("x - x^3", -24.0),
        ("exp(-x)*2", 2.0 * (-3f64).exp()),
        ("sin ( pi / 6 )", 0.5),
        ("cos(0) + tan(0) + sinh(0) + cosh(0)", 2.0),
        ("log(e) + ln(e^2)", 3.0),
        ("1e-3*x", 0.003),
        ("2.5e+1", 25.0),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("4^0.5", 2.0),
        ("sqrt(16)-tanh(0)+abs(-1)", 5.0),
        ("abs(x - 3)", 0.0),
        ("sign(0) + 10*sign(x) + 100*sign(-x)", -90.0),
        ("sign(x - 3)", 0.0),
        ("sign(-0)", 0.0),
        ("abs(-0)", 0.0),
        ("1e-320*10^320", 1e-320 * f64::INFINITY),
    ] {
        let found = value(text);
        let fine = found == expected || (found - expected).abs() < 1e-12;
        assert!(fine, "{text} = {found}, not {expected}");
    }
    for text in ["(-2)^0.5", "log(-1)", "sqrt(-x)", "0/0", "sign(0/0)", "abs(0/0)", "(0/0)^2"] {
        assert!(value(text).is_nan(), "{text} = {}", value(text));
    }
    assert_eq!(
        (value("log(0)"), value("1/0"), value("-1/0")),
        (-f64::INFINITY, f64::INFINITY, -f64::INFINITY)
    );
    assert_eq!((value("0^-1"), value("exp(1000)")), (f64::INFINITY, f64::INFINITY));
}

/// Words with a meaning of their own keep it whatever the columns are called; braces and quotes name columns.
#[test]
fn columns_do_not_shadow_words() {
    let names = ["x", "t", "pi", "e", "sin", "y"].map(String::from);
    let at = [2.0, 3.0, 5.0, 7.0, 11.0, 13.0];
    let of = |text: &str, own: Option<usize>| {
        Expression::read(text, &names, own).unwrap().value(&at, 0.25)
    };
    assert_eq!(of("x", Some(5)), 13.0);
    assert_eq!(of("{x}", Some(5)), 2.0);
    assert_eq!((of("t", None), of("{t}", None)), (0.25, 3.0));
    assert_eq!((of("pi", None), of("\"pi\"", None)), (std::f64::consts::PI, 5.0));
    assert_eq!((of("e", None), of("`e`", None)), (std::f64::consts::E, 7.0));
    assert_eq!((of("sin(t)", None), of("sin(sin)", None)), (0.25f64.sin(), 11f64.sin()));
    assert_eq!(of("'sin'", None), 11.0);
    // Where x is not the column itself it is free to be a name.
    assert_eq!(of("x", None), 2.0);
    let shadowed =
        |text: &str, own| Expression::read(text, &names, own).unwrap().shadowed().join(",");
    assert_eq!(shadowed("x + t*pi - e*{x} + sin(x) + t", Some(5)), "x,t,pi,e");
    assert_eq!(shadowed("x + {t} + y", None), "");
    let process = ExpressionProcess {
        drift: vec!["-2*x + 0*t".into()],
        diffusion: "1".into(),
        columns: ["x", "y"].map(String::from).to_vec(),
        horizon: 1.0,
        t_min: 0.1,
    };
    let notes = process.notes().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("each column in turn") && notes[0].contains("{x}"), "{notes:?}");
    let mut f = [0.0; 2];
    process.sde().unwrap().drift(&[1.0, 5.0], 0.0, &mut f);
    assert_eq!(f, [-2.0, -10.0]);
    let other =
        ExpressionProcess { columns: ["a", "b"].map(String::from).to_vec(), ..process.clone() };
    assert!(other.notes().unwrap().is_empty());
    let alone = ExpressionProcess { columns: vec!["x".into()], ..process };
    assert!(alone.notes().unwrap().is_empty());
}

/// Names with every sign in them can be written.
#[test]
fn any_name_can_be_quoted() {
    let names = ["a}b", "it's", "\"q\"", "a`b", "mass, kg", "1+2", "", " ", "Temp \u{b0}C"]
        .map(String::from);
    for (k, name) in names.iter().enumerate() {
        let point: Vec<f64> = (0..names.len()).map(|j| f64::from(u8::from(j == k))).collect();
        for (open, close) in [('{', '}'), ('"', '"'), ('\'', '\''), ('`', '`')] {
            let twice = format!("{close}{close}");
            let text = format!("2*{open}{}{close}", name.replace(close, &twice));
            let found = Expression::read(&text, &names, None).unwrap().value(&point, 0.0);
            assert_eq!(found, 2.0, "{text}");
        }
    }
}

#[test]
fn what_is_no_expression_is_refused_with_its_place() {
    let says = |text: &str, what: &str| {
        let message = refusal(text, &columns(), None);
        assert!(message.starts_with("drift: ") && message.contains(what), "{text}: {message}");
    };
    says("a +", "at character 4: something is missing: a number, a name");
    says("", "at character 1: something is missing");
    says("(a", "a \")\" is missing for the \"(\" at character 1");
    says("2*(a + (3)", "a \")\" is missing for the \"(\" at character 3");
    says("(a b)", "\"b\" is not expected here; +, -, *, /, ^ or \")\" is");
    says("a)", "no \"(\" for it");
    says(
        "a a",
        "character 3: \"a\" is not expected here; +, -, *, /, ^ or the end is expected: a product is",
    );
    says("2a", "character 2: \"a\" is not expected here");
    says("2(a)", "character 2: \"(\" is not expected here");
    says("a(2)", "there is no function \"a\": a product is written with *");
    says("pi(2)", "a product is written with *");
    says(
        "a**2",
        "character 3: \"*\" is not expected here; a number, a name, a function or \"(\" is expected: for a \
         power",
    );
    says("1,5*a", "a decimal point is written \".\"");
    says("exp(1,5)", "functions take one number");
    says("a \u{2013} 1", "a minus is written \"-\"");
    says("a > 1", "no comparisons");
    says("foo(a)", "no function \"foo\"; there are exp, log");
    says("sin", "the function is written sin(...)");
    says("y", "\"y\" is not known; there are t, pi, e and the columns a, b c, t2");
    says("b", "a name with blanks");
    says("x", "x is the column itself only in one expression for all");
    says("{y}", "\"y\" is not known; there are the columns a, b c, t2");
    says("1.2.3", "\"1.2.3\" is not a number");
    says(".", "\".\" is not a number");
    says("1e999", "too large a number");
    says("2 $ 3", "\"$\"");
    says("{b c", "the \"{\" is not closed: \"}\" is expected");
    says("\"b c", "is not closed");
    says("3e", "character 2: \"e\" is not expected");
    says("3e+", "character 2: \"e\" is not expected");
    says(&"(".repeat(5000), "too deeply");
    says(&"-".repeat(5000), "too deeply");
    says(&"2^".repeat(5000), "too deeply");
    says(&"abs(".repeat(5000), "too deeply");
    for text in ["a", "{a}"] {
        let message = Expression::read_as("diffusion", text, &[], None).unwrap_err().to_string();
        assert!(message.contains("t alone"), "{message}");
    }
    // A message shows no more than the neighbourhood of the place.
    let long = format!("{} + $", vec!["a"; 1000].join(" + "));
    let message = refusal(&long, &columns(), None);
    assert!(message.len() < 300 && message.contains("at character 4001"), "{message}");
    let many: Vec<String> = (0..1000).map(|k| format!("c{k}")).collect();
    assert!(refusal("y", &many, None).contains("c11 and 988 more"));
}

/// Long sums are read and evaluated without going deep, up to a bound; in a thread of a small stack.
#[test]
fn long_sums_need_no_stack() {
    let run = || {
        let sum = |n: usize| vec!["a"; n].join("+");
        assert_eq!(read(&sum(30_000)).value(&[3.0, 0.0, 0.0], 0.0), 90_000.0);
        let right = format!("{}a{}", "a+(".repeat(190), ")".repeat(190));
        assert_eq!(read(&right).value(&[1.0, 0.0, 0.0], 0.0), 191.0);
        let says = refusal(&sum(200_000), &columns(), None);
        assert!(says.contains("too long: more than 65536 operations"), "{says}");
        let text = read(&sum(30_000)).to_text(&columns());
        assert_eq!(text.len(), 30_000 * 3 + 29_999);
        assert_eq!(Expression::read(&text, &columns(), None).unwrap().ops, read(&sum(30_000)).ops);
        // Numbers alone are added while reading.
        assert_eq!(read(&vec!["1"; 100_000].join("+")).value(&[], 0.0), 1e5);
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

/// Many points at once give the bits of one at a time, at every number of points.
#[test]
fn blocks_have_the_bits_of_single_points() {
    for text in [
        "-x^2 + t*{b c}^0.3",
        "sin(a)/t2 - exp(-t)^3",
        "7",
        "t",
        "a",
        "-(a + (t2 + (t - 1)))",
        "log(a - 3)",
    ] {
        let f = read(text);
        for n in [0, 1, 2, 63, 64, 65, 200] {
            let x: Vec<f64> = (0..3 * n).map(|i| (i as f64 * 0.7).sin() * 4.0).collect();
            let times: Vec<f64> = (0..n).map(|i| i as f64 * 0.01).collect();
            let mut found = vec![f64::NAN; n];
            f.values(&x, &times, |row, value| found[row] = value);
            for i in 0..n {
                let alone = f.value(&x[3 * i..3 * i + 3], times[i]);
                assert_eq!(found[i].to_bits(), alone.to_bits(), "{text}, row {i} of {n}");
            }
        }
    }
}

/// What is printed reads as the same formula.
#[test]
fn printed_formulas_read_as_themselves() {
    for text in [
        "-x^2",
        "(-2)^2*x",
        "2^-1^x",
        "a - (t2 - t)",
        "a/{b c}/t2",
        "sign(-a) - -3e-300",
        "-(-a)",
        "1/0 - a",
        "(a^2)^3",
        "a^2^3",
        "-0*a",
    ] {
        let f = read(text);
        let printed = f.to_text(&columns());
        let again = Expression::read(&printed, &columns(), None).unwrap();
        assert_eq!(f.ops, again.ops, "{text}: {printed}");
    }
    assert_eq!(read("a - 2*t^{b c}").to_text(&columns()), "{a}-2.0*t^{b c}");
}

#[test]
fn a_process_of_text_is_the_process_of_closures() {
    let process = ExpressionProcess {
        drift: vec!["-2*(x - 1)*t".into()],
        diffusion: "sqrt(2)*t".into(),
        columns: columns(),
        horizon: 2.0,
        t_min: 0.1,
    };
    let sde = process.sde().unwrap();
    let mut f = [0.0; 3];
    sde.drift(&[3.0, 5.0, 7.0], 0.5, &mut f);
    assert_eq!(f, [-2.0, -4.0, -6.0]);
    let (mut two, mut g) = ([0.0; 6], [0.0; 2]);
    sde.drift_at_times(&[3.0, 5.0, 7.0, 2.0, 2.0, 2.0], &[0.5, 1.0], &mut two);
    assert_eq!(two, [-2.0, -4.0, -6.0, -2.0, -2.0, -2.0]);
    sde.diffusion_at_times(&[0.5, 1.0], &mut g);
    assert_eq!(g, [sde.diffusion(0.5), sde.diffusion(1.0)]);
    assert!((sde.diffusion(0.5).powi(2) - 0.5).abs() < 1e-12);
    assert!((sde.drift_divergence(&[3.0, 5.0, 7.0], 0.5) + 3.0).abs() < 1e-7);
    let each = ["{b c}", "a", "-t2"].map(String::from).to_vec();
    let sde = ExpressionProcess { drift: each, ..process.clone() }.sde().unwrap();
    sde.drift(&[3.0, 5.0, 7.0], 0.5, &mut f);
    assert_eq!(f, [5.0, 3.0, -7.0]);
    let two = vec!["a".to_string(), "a".to_string()];
    let message = ExpressionProcess { drift: two, ..process }.sde().unwrap_err().to_string();
    assert!(message.contains("each of the 3 (a, b c, t2); there are 2"), "{message}");
}
