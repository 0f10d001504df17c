//! Drift and diffusion written as text, so that a process needs no Rust.
//!
//! ```text
//! sum     = product { (+|-) product }
//! product = signed { (*|/) signed }
//! signed  = - signed | + signed | power
//! power   = atom [ ^ signed ]                  binds tighter than the sign before it: -x^2 is -(x^2)
//! atom    = number | name | {any name} | function ( sum ) | ( sum )
//! ```
//!
//! Names are columns, `t`, `pi` and `e`. In a drift written once for all columns `x` is the column itself.

use serde::{Deserialize, Serialize};

use super::{Sde, check_positive, check_t_min};
use crate::error::{Error, Result};

/// A process whose drift and diffusion are text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpressionProcess {
    /// One drift per column, or one for all of them.
    pub drift: Vec<String>,
    /// g(t).
    pub diffusion: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// T.
    pub horizon: f64,
    /// The least time at which a score is asked for.
    pub t_min: f64,
}

/// An [`ExpressionProcess`] that has been read.
#[derive(Debug, Clone)]
pub struct ExpressionSde {
    drift: Vec<Node>,
    diffusion: Node,
    horizon: f64,
    t_min: f64,
}

impl ExpressionProcess {
    /// Reads the expressions.
    ///
    /// # Errors
    /// An expression that is none, with its text and the place; a name that is no column; another
    /// number of drifts than 1 or one per column; times that are none.
    pub fn sde(&self) -> Result<ExpressionSde> {
        check_positive("horizon", self.horizon)?;
        check_t_min(self.t_min, self.horizon)?;
        let d = self.columns.len();
        if self.drift.len() != 1 && self.drift.len() != d {
            let message = format!(
                "give one expression for all columns, or one for each of the {d} ({}); there are {}",
                self.columns.join(", "),
                self.drift.len()
            );
            return Err(Error::config("drift", message));
        }
        let drift = (0..d)
            .map(|k| {
                let shared = self.drift.len() == 1;
                let text = &self.drift[if shared { 0 } else { k }];
                parse("drift", text, &self.columns, (shared || d == 1).then_some(k))
            })
            .collect::<Result<Vec<_>>>()?;
        let diffusion = parse("diffusion", &self.diffusion, &[], None)?;
        Ok(ExpressionSde { drift, diffusion, horizon: self.horizon, t_min: self.t_min })
    }
}

impl Sde for ExpressionSde {
    fn drift(&self, x: &[f64], t: f64, out: &mut [f64]) {
        out.iter_mut().zip(&self.drift).for_each(|(out, f)| *out = f.value(x, t));
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.diffusion.value(&[], t)
    }

    fn horizon(&self) -> f64 {
        self.horizon
    }

    fn t_min(&self) -> f64 {
        self.t_min
    }
}

/// An expression, as a tree.
#[derive(Debug, Clone)]
enum Node {
    Number(f64),
    Column(usize),
    Time,
    Call(fn(f64) -> f64, Box<Node>),
    Binary(char, Box<(Node, Node)>),
}

impl Node {
    fn value(&self, x: &[f64], t: f64) -> f64 {
        match self {
            Node::Number(number) => *number,
            Node::Column(k) => x[*k],
            Node::Time => t,
            Node::Call(function, of) => function(of.value(x, t)),
            Node::Binary(operator, sides) => {
                let (a, b) = (sides.0.value(x, t), sides.1.value(x, t));
                match operator {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    '/' => a / b,
                    _ => power(a, b),
                }
            }
        }
    }
}

/// a^b, exact and fast for whole b.
fn power(a: f64, b: f64) -> f64 {
    if b.fract() == 0.0 && b.abs() < 1e6 { a.powi(b as i32) } else { a.powf(b) }
}

fn negative(a: f64) -> f64 {
    -a
}

fn function(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "exp" => f64::exp,
        "log" | "ln" => f64::ln,
        "sqrt" => f64::sqrt,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "abs" => f64::abs,
        "sign" => f64::signum,
        _ => return None,
    })
}

const FUNCTIONS: &str = "exp, log, sqrt, sin, cos, tan, sinh, cosh, tanh, abs, sign";

fn parse(option: &str, text: &str, columns: &[String], own: Option<usize>) -> Result<Node> {
    let mut reader = Reader { option, text, at: 0, depth: 0, columns, own };
    let node = reader.sum()?;
    match reader.peek() {
        None => Ok(node),
        Some(c) => Err(reader.error(&format!("\"{c}\" is not expected here"))),
    }
}

/// Deepest nesting of parentheses and signs.
const DEEPEST: usize = 200;

struct Reader<'a> {
    option: &'a str,
    text: &'a str,
    at: usize,
    depth: usize,
    columns: &'a [String],
    own: Option<usize>,
}

impl Reader<'_> {
    fn error(&self, what: &str) -> Error {
        let place = self.text[..self.at].chars().count() + 1;
        let message = format!("in \"{}\", at character {place}: {what}", self.text);
        Error::config(self.option, message)
    }

    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let c = self.peek().filter(|c| wanted.contains(c))?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn sum(&mut self) -> Result<Node> {
        let mut left = self.product()?;
        while let Some(operator) = self.take(&['+', '-']) {
            left = Node::Binary(operator, Box::new((left, self.product()?)));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Node> {
        let mut left = self.signed()?;
        while let Some(operator) = self.take(&['*', '/']) {
            left = Node::Binary(operator, Box::new((left, self.signed()?)));
        }
        Ok(left)
    }

    fn signed(&mut self) -> Result<Node> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("it is nested too deeply"));
        }
        let node = match self.take(&['+', '-']) {
            Some('-') => Node::Call(negative, Box::new(self.signed()?)),
            Some(_) => self.signed()?,
            None => self.power()?,
        };
        self.depth -= 1;
        Ok(node)
    }

    fn power(&mut self) -> Result<Node> {
        let base = self.atom()?;
        match self.take(&['^']) {
            Some(operator) => Ok(Node::Binary(operator, Box::new((base, self.signed()?)))),
            None => Ok(base),
        }
    }

    fn atom(&mut self) -> Result<Node> {
        match self.peek() {
            None => Err(self.error("something is missing")),
            Some('(') => self.parenthesis(),
            Some('{') => {
                let Some(end) = self.text[self.at..].find('}') else {
                    return Err(self.error("the \"{\" is not closed"));
                };
                let name = self.text[self.at + 1..self.at + end].to_string();
                let node = self.variable(&name)?;
                self.at += end + 1;
                Ok(node)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.word(),
            Some(c) => Err(self.error(&format!("\"{c}\" is not expected here"))),
        }
    }

    fn parenthesis(&mut self) -> Result<Node> {
        self.take(&['(']);
        let node = self.sum()?;
        if self.take(&[')']).is_none() {
            return Err(self.error("a \")\" is missing"));
        }
        Ok(node)
    }

    fn number(&mut self) -> Result<Node> {
        let rest = &self.text[self.at..];
        let bytes = rest.as_bytes();
        let mut end = 0;
        while end < bytes.len() {
            let exponent_sign = matches!(bytes[end], b'+' | b'-')
                && end > 0
                && matches!(bytes[end - 1], b'e' | b'E');
            let exponent = matches!(bytes[end], b'e' | b'E')
                && bytes[end + 1..]
                    .iter()
                    .find(|b| !b"+-".contains(b))
                    .is_some_and(u8::is_ascii_digit);
            if !(bytes[end].is_ascii_digit() || bytes[end] == b'.' || exponent || exponent_sign) {
                break;
            }
            end += 1;
        }
        let number = rest[..end].parse();
        let number =
            number.map_err(|_| self.error(&format!("\"{}\" is no number", &rest[..end])))?;
        self.at += end;
        Ok(Node::Number(number))
    }

    fn word(&mut self) -> Result<Node> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = &rest[..end];
        if !rest[end..].trim_start().starts_with('(') {
            let node = self.variable(name)?;
            self.at += end;
            return Ok(node);
        }
        let Some(function) = function(name) else {
            let what = format!("there is no function \"{name}\"; there are {FUNCTIONS}");
            return Err(self.error(&what));
        };
        self.at += end;
        self.peek();
        Ok(Node::Call(function, Box::new(self.parenthesis()?)))
    }

    /// A column goes before the names with a meaning of their own.
    fn variable(&self, name: &str) -> Result<Node> {
        if let Some(k) = self.columns.iter().position(|column| column == name) {
            return Ok(Node::Column(k));
        }
        match (name, self.own) {
            ("x", Some(own)) => Ok(Node::Column(own)),
            ("t", _) => Ok(Node::Time),
            ("pi", _) => Ok(Node::Number(std::f64::consts::PI)),
            ("e", _) => Ok(Node::Number(std::f64::consts::E)),
            _ if self.columns.is_empty() => Err(self
                .error(&format!("\"{name}\" is not known; the diffusion may depend on t alone"))),
            _ => Err(self.error(&format!(
                "\"{name}\" is not known; there are t and the columns {}",
                self.columns.join(", ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<String> {
        ["a", "b c", "t2"].map(String::from).to_vec()
    }

    /// The value at a = 3, "b c" = 5, t2 = 7, t = 0.5, with `x` for the first column.
    fn value(text: &str) -> f64 {
        parse("drift", text, &columns(), Some(0)).unwrap().value(&[3.0, 5.0, 7.0], 0.5)
    }

    #[test]
    fn expressions_mean_what_mathematics_means() {
        for (text, expected) in [
            ("-x^2", -9.0),
            ("2*-x^2", -18.0),
            ("2-x^2", -7.0),
            ("x^-2", 1.0 / 9.0),
            ("2^3^2", 512.0),
            ("-2^2", -4.0),
            ("(-2)^2", 4.0),
            ("8-3-2", 3.0),
            ("8/4/2", 1.0),
            ("2+3*4", 14.0),
            ("x*-2", -6.0),
            ("--x", 3.0),
            ("a*{b c} + t2 - t", 21.5),
            ("x - x^3", -24.0),
            ("exp(-x)*2", 2.0 * (-3f64).exp()),
            ("sin ( pi / 6 )", 0.5),
            ("log(e)", 1.0),
            ("1e-3*x", 0.003),
            ("2.5e+1", 25.0),
            (".5", 0.5),
            ("4^0.5", 2.0),
            ("sqrt(16)-tanh(0)+abs(-1)", 5.0),
        ] {
            assert!((value(text) - expected).abs() < 1e-12, "{text} = {}", value(text));
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_place() {
        let says = |text: &str, what: &str| {
            let message = parse("drift", text, &columns(), None).unwrap_err().to_string();
            assert!(message.starts_with("drift: ") && message.contains(what), "{text}: {message}");
        };
        says("a +", "at character 4: something is missing");
        says("", "something is missing");
        says("(a", "\")\" is missing");
        says("a a", "character 3: \"a\" is not expected");
        says("foo(a)", "no function \"foo\"; there are exp");
        says("y", "\"y\" is not known; there are t and the columns a, b c, t2");
        says("x", "\"x\" is not known");
        says("1.2.3", "\"1.2.3\" is no number");
        says("2 $ 3", "\"$\"");
        says("{b c", "not closed");
        says("3e", "not expected");
        says(&"(".repeat(5000), "too deeply");
        says(&"-".repeat(5000), "too deeply");
        let message = parse("diffusion", "a", &[], None).unwrap_err().to_string();
        assert!(message.contains("t alone"), "{message}");
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
}
