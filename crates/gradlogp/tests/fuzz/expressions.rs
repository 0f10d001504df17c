//! Expressions: nothing that is read makes the reader or the evaluation panic, what is read has the value that a
//! slow evaluator of another kind gives it, and what is printed reads as itself.

use gradlogp::sde::{Expression, Function};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use crate::harness::{Input, Target, fuzz};
use crate::mutate;

#[test]
fn changed_expressions_are_refused_or_mean_what_another_reader_says() {
    let tally = fuzz(&Target {
        name: "expression",
        seeds: || SEEDS.map(|text| text.as_bytes().to_vec()).to_vec(),
        change,
        accepts: |input: &Input<'_>| check(&String::from_utf8_lossy(input.bytes), Some(0)),
        inputs: 3000,
    });
    assert!(tally.inputs < 100 || tally.accepted > tally.inputs / 5, "{tally:?} tests too little");
}

/// A piece of another formula, a change of bytes, or another formula altogether.
fn change(rng: &mut ChaCha8Rng, input: &mut Vec<u8>) {
    const WORDS: [&str; 30] = [
        "+", "-", "*", "/", "^", "(", ")", "**", " ", "{a}", "{b c}", "\"x\"", "'t'", "`p}q`",
        "}}", "x", "t", "pi", "e", "exp(", "sign(", "ln(", "sin", "1e", "2e-3", "1e308", ".", ",",
        "\u{2212}", "\u{b2}",
    ];
    match rng.random_range(0..4) {
        0 => {
            let mut text = String::new();
            written(rng, 5, &mut text);
            *input = text.into_bytes();
        }
        1 => {
            // Behind a blank, so that numbers and names do not run together.
            let blanks =
                input.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at);
            let at: Vec<usize> = blanks.collect();
            let mut text = String::from(" + ");
            written(rng, 3, &mut text);
            let place = if at.is_empty() { input.len() } else { at[rng.random_range(0..at.len())] };
            input.splice(place..place, text.into_bytes());
        }
        _ => mutate::bytes(rng, input, &WORDS),
    }
}

const COLUMNS: [&str; 5] = ["a", "b c", "x", "t", "p}q"];

/// Texts to begin with, of every part of the grammar.
const SEEDS: [&str; 12] = [
    "x - x^3",
    "-2*(x - 1)*t + {b c}",
    "exp(-x^2/2)*sin(2*pi*t) + e",
    "sqrt(abs(a))/(1 + t)^2 - sign(x)*1e-3",
    "2^-x^2 + -a^2*-3",
    "'b c' + \"x\"*`t` - {p}}q}",
    "log(1 + cosh(a)) - tanh(x) + .5",
    "((((a))))+--+a",
    "1.5e+3*a/2E-2/3",
    "a\u{2212}t \u{2212} 1",
    "tan(cos(sinh(ln(a))))",
    "0^0 + 1/0 - log(0) + (-8)^(1/3)",
];

fn columns() -> Vec<String> {
    COLUMNS.map(String::from).to_vec()
}

/// The value by two stacks, one of numbers and one of signs that wait (Dijkstra's shunting yard): no tree, no grammar,
/// no list of operations. Only for texts that the reader takes.
struct Yard<'a> {
    values: Vec<f64>,
    waiting: Vec<Sign<'a>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Sign<'a> {
    Open,
    Call(&'a str),
    Prefix(bool),
    Infix(char),
}

impl Sign<'_> {
    /// How tightly it binds.
    fn strength(self) -> u8 {
        match self {
            Sign::Open | Sign::Call(_) => 0,
            Sign::Infix('+' | '-') => 1,
            Sign::Infix('*' | '/') => 2,
            Sign::Prefix(_) => 3,
            Sign::Infix(_) => 4,
        }
    }
}

impl<'a> Yard<'a> {
    fn of(text: &'a str, own: Option<usize>, x: &[f64], t: f64) -> f64 {
        let mut yard = Yard { values: Vec::new(), waiting: Vec::new() };
        let (mut rest, mut after_value) = (text.trim_start(), false);
        while let Some(c) = rest.chars().next() {
            let c = if c == '\u{2212}' { '-' } else { c };
            let mut length = rest.chars().next().map_or(0, char::len_utf8);
            match c {
                '(' => {
                    yard.waiting.push(Sign::Open);
                    after_value = false;
                }
                ')' => {
                    yard.settle(1);
                    if let Some(Sign::Call(name)) = yard.waiting.pop() {
                        let of = yard.values.pop().unwrap();
                        yard.values.push(called(name, of));
                    }
                    after_value = true;
                }
                '+' | '-' if !after_value => yard.waiting.push(Sign::Prefix(c == '-')),
                '+' | '-' | '*' | '/' | '^' => {
                    // ^ waits for what comes after it; the others take what stands before.
                    let sign = Sign::Infix(c);
                    yard.settle(if c == '^' { 5 } else { sign.strength() });
                    yard.waiting.push(sign);
                    after_value = false;
                }
                '{' | '"' | '\'' | '`' => {
                    let close = if c == '{' { '}' } else { c };
                    let (name, end) = quoted(&rest[length..], close);
                    length += end;
                    let k = COLUMNS.iter().position(|column| *column == name).unwrap();
                    yard.values.push(x[k]);
                    after_value = true;
                }
                c if c.is_ascii_digit() || c == '.' => {
                    // The longest beginning that is a number.
                    let part = |b: &u8| b.is_ascii_digit() || b".eE+-".contains(b);
                    let most = rest.bytes().take_while(part).count();
                    let number = |end: &usize| rest[..*end].parse::<f64>().is_ok();
                    length = (1..=most).rev().find(number).unwrap();
                    yard.values.push(rest[..length].parse().unwrap());
                    after_value = true;
                }
                _ => {
                    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                    length = end.unwrap_or(rest.len());
                    let (word, behind) = rest.split_at(length);
                    if let Some(open) = behind.trim_start().strip_prefix('(') {
                        length = rest.len() - open.len();
                        yard.waiting.push(Sign::Call(word));
                        after_value = false;
                    } else {
                        let column = COLUMNS.iter().position(|column| *column == word);
                        yard.values.push(match (word, own) {
                            ("x", Some(own)) => x[own],
                            ("t", _) => t,
                            ("pi", _) => std::f64::consts::PI,
                            ("e", _) => std::f64::consts::E,
                            _ => x[column.unwrap()],
                        });
                        after_value = true;
                    }
                }
            }
            rest = rest[length..].trim_start();
        }
        yard.settle(1);
        assert_eq!((yard.values.len(), yard.waiting.len()), (1, 0), "{text}");
        yard.values[0]
    }

    /// Carries out the signs that bind at least so tightly.
    fn settle(&mut self, strength: u8) {
        while let Some(sign) = self.waiting.last().copied().filter(|s| s.strength() >= strength) {
            self.waiting.pop();
            let right = self.values.pop().unwrap();
            let value = match sign {
                Sign::Prefix(minus) => {
                    if minus {
                        -right
                    } else {
                        right
                    }
                }
                Sign::Infix(c) => {
                    let left = self.values.pop().unwrap();
                    match c {
                        '+' => left + right,
                        '-' => left - right,
                        '*' => left * right,
                        '/' => left / right,
                        // Of whole powers of chaotic functions nothing else would agree.
                        _ if (0..=16).any(|n| right == f64::from(n)) => left.powi(right as i32),
                        _ => left.powf(right),
                    }
                }
                Sign::Open | Sign::Call(_) => unreachable!("they bind least"),
            };
            self.values.push(value);
        }
    }
}

/// A name up to its closing sign, which stands for itself where it is doubled; and where it ends.
fn quoted(text: &str, close: char) -> (String, usize) {
    let (mut name, mut at) = (String::new(), 0);
    loop {
        let c = text[at..].chars().next().unwrap();
        at += c.len_utf8();
        if c == close {
            if !text[at..].starts_with(close) {
                return (name, at);
            }
            at += close.len_utf8();
        }
        name.push(c);
    }
}

fn called(name: &str, of: f64) -> f64 {
    match name {
        "exp" => of.exp(),
        "log" | "ln" => of.ln(),
        "sqrt" => of.sqrt(),
        "sin" => of.sin(),
        "cos" => of.cos(),
        "tan" => of.tan(),
        "sinh" => of.sinh(),
        "cosh" => of.cosh(),
        "tanh" => of.tanh(),
        "abs" => of.abs(),
        "sign" if of > 0.0 => 1.0,
        "sign" if of < 0.0 => -1.0,
        "sign" if of == 0.0 => 0.0,
        "sign" => of,
        other => panic!("{other}"),
    }
}

/// The same bits, or both no number.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// All that must hold of one text.
fn check(text: &str, own: Option<usize>) -> bool {
    let names = columns();
    let Ok(f) = Expression::read(text, &names, own) else { return false };
    let rows = 67;
    let x: Vec<f64> =
        (0..rows * names.len()).map(|i| ((i * i) as f64 * 0.37).sin() * 3.0).collect();
    let times: Vec<f64> = (0..rows).map(|i| i as f64 / 50.0).collect();
    let mut all = vec![0.0; rows];
    f.values(&x, &times, |row, value| all[row] = value);
    let printed = f.to_text(&names);
    let again = Expression::read(&printed, &names, own);
    let again = again.unwrap_or_else(|e| panic!("{text} prints as {printed}: {e}"));
    for (i, point) in x.chunks(names.len()).enumerate() {
        let value = f.value(point, times[i]);
        assert!(same(value, all[i]), "{text}, row {i}: {value}, in a block {}", all[i]);
        assert!(same(value, again.value(point, times[i])), "{text}, printed {printed}");
        if i % 16 == 0 {
            let slow = Yard::of(text, own, point, times[i]);
            assert!(same(value, slow), "{text}, row {i}: {value}, by two stacks {slow}");
        }
    }
    true
}

/// A text of the grammar, with blanks and parentheses where they may be.
fn written(rng: &mut impl Rng, depth: usize, into: &mut String) {
    if rng.random_bool(0.2) {
        into.push(' ');
    }
    let choice = if depth == 0 { rng.random_range(0..3) } else { rng.random_range(0..9) };
    match choice {
        0 => {
            let atoms = ["a", "{b c}", "x", "t", "{t}", "'x'", "pi", "e", "{p}}q}", "`b c`"];
            into.push_str(atoms[rng.random_range(0..atoms.len())]);
        }
        1 | 2 => {
            let numbers = ["0", "1", "2", "3", "0.5", ".25", "7.", "1e-3", "2.5E+1", "16", "17"];
            into.push_str(numbers[rng.random_range(0..numbers.len())]);
        }
        3 => {
            let names = Function::ALL;
            into.push_str(names[rng.random_range(0..names.len())].name());
            into.push('(');
            written(rng, depth - 1, into);
            into.push(')');
        }
        4 => {
            into.push('(');
            written(rng, depth - 1, into);
            into.push(')');
        }
        5 => {
            into.push(if rng.random_bool(0.7) { '-' } else { '+' });
            written(rng, depth - 1, into);
        }
        _ => {
            written(rng, depth - 1, into);
            into.push(['+', '-', '*', '/', '^', '\u{2212}'][rng.random_range(0..6)]);
            written(rng, depth - 1, into);
        }
    }
    if rng.random_bool(0.2) {
        into.push(' ');
    }
}
