//! From text to operations, by recursive descent over the grammar at the top of this folder.

use super::program::{Function, Join, MOST, Op, push};
use crate::error::{Error, Result};

/// Deepest nesting of parentheses, signs and powers.
const DEEPEST: usize = 200;
/// Names listed in a message.
const LISTED: usize = 12;
/// Characters of the text shown on either side of a place.
const SHOWN: usize = 40;

pub(super) struct Reader<'a> {
    setting: &'a str,
    text: &'a str,
    at: usize,
    depth: usize,
    columns: &'a [String],
    own: Option<usize>,
    ops: Vec<Op>,
    shadowed: Vec<String>,
}

/// What may stand where a value begins.
const VALUE: &str = "a number, a name, a function or \"(\" is expected";
/// What may stand after a value.
const AFTER: &str = "+, -, *, /, ^ or the end is expected";

/// The first names of a list.
pub(super) fn some_of(names: &[String]) -> String {
    let first = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// The beginning of a text.
pub(super) fn shortened(text: &str) -> String {
    around(text, 0)
}

/// A text near one of its bytes.
fn around(text: &str, at: usize) -> String {
    let begin = text[..at].char_indices().rev().nth(SHOWN - 1).map_or(0, |(i, _)| i);
    let end = text[at..].char_indices().nth(SHOWN).map_or(text.len(), |(i, _)| at + i);
    let (before, after) =
        (if begin > 0 { "..." } else { "" }, if end < text.len() { "..." } else { "" });
    format!("{before}{}{after}", &text[begin..end])
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        setting: &'a str,
        text: &'a str,
        columns: &'a [String],
        own: Option<usize>,
    ) -> Self {
        let (ops, shadowed) = (Vec::new(), Vec::new());
        Reader { setting, text, at: 0, depth: 0, columns, own, ops, shadowed }
    }

    /// The operations, and the words of a meaning of their own that are columns' names too.
    pub(super) fn read(mut self) -> Result<(Vec<Op>, Vec<String>)> {
        self.sum()?;
        match self.peek() {
            None => Ok((self.ops, self.shadowed)),
            Some(c) => Err(self.unexpected(c)),
        }
    }

    fn error(&self, what: &str) -> Error {
        let place = self.text[..self.at].chars().count() + 1;
        let shown = around(self.text, self.at);
        Error::config(
            self.setting.to_string(),
            format!("in \"{shown}\", at character {place}: {what}"),
        )
    }

    /// A sign that does not belong behind a value.
    fn unexpected(&self, c: char) -> Error {
        let hint = match c {
            '*' => ": for a power write ^",
            ',' => ": a decimal point is written \".\"",
            ')' => ": there is no \"(\" for it",
            '\u{2013}' | '\u{2014}' => ": a minus is written \"-\"",
            '=' | '<' | '>' | '!' | '&' | '|' | '?' | '%' => {
                ": there are no comparisons, conditions or remainders"
            }
            c if c.is_alphanumeric() || "_.({\"'`".contains(c) => ": a product is written with *",
            _ => "",
        };
        self.error(&format!("\"{c}\" is not expected here; {AFTER}{hint}"))
    }

    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    /// The next sign if it is one of these, the minus of typography as that of keyboards.
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let c = self.peek()?;
        let plain = if c == '\u{2212}' { '-' } else { c };
        wanted.contains(&plain).then(|| {
            self.at += c.len_utf8();
            plain
        })
    }

    fn push(&mut self, op: Op) -> Result<()> {
        push(&mut self.ops, op);
        if self.ops.len() > MOST {
            let message = format!("it is too long: more than {} operations", MOST);
            return Err(self.error(&message));
        }
        Ok(())
    }

    fn sum(&mut self) -> Result<()> {
        self.product()?;
        while let Some(sign) = self.take(&['+', '-']) {
            self.product()?;
            self.push(Op::Join(Join::of(sign)))?;
        }
        Ok(())
    }

    fn product(&mut self) -> Result<()> {
        self.signed()?;
        while let Some(sign) = self.take(&['*', '/']) {
            self.signed()?;
            self.push(Op::Join(Join::of(sign)))?;
        }
        Ok(())
    }

    fn signed(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let message = format!("it is nested too deeply: {DEEPEST} levels are the most");
            return Err(self.error(&message));
        }
        match self.take(&['+', '-']) {
            Some('-') => {
                self.signed()?;
                self.push(Op::Negate)?;
            }
            Some(_) => self.signed()?,
            None => self.power()?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn power(&mut self) -> Result<()> {
        self.atom()?;
        if self.take(&['^']).is_some() {
            self.signed()?;
            self.push(Op::Join(Join::Power))?;
        }
        Ok(())
    }

    fn atom(&mut self) -> Result<()> {
        match self.peek() {
            None => Err(self.error(&format!("something is missing: {VALUE}"))),
            Some('(') => self.parenthesis(),
            Some(c @ ('{' | '"' | '\'' | '`')) => self.quoted(c),
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.word(),
            Some(c) => {
                let hint = match c {
                    '*' => ": for a power write ^",
                    '\u{2013}' | '\u{2014}' => ": a minus is written \"-\"",
                    _ => "",
                };
                Err(self.error(&format!("\"{c}\" is not expected here; {VALUE}{hint}")))
            }
        }
    }

    fn parenthesis(&mut self) -> Result<()> {
        let opened = self.text[..self.at].chars().count() + 1;
        self.take(&['(']);
        self.sum()?;
        if self.take(&[')']).is_some() {
            return Ok(());
        }
        let missing = format!("a \")\" is missing for the \"(\" at character {opened}");
        Err(match self.peek() {
            None => self.error(&missing),
            Some(',') => self.error(&format!(
                "\",\" is not expected here: functions take one number, and a decimal point is written \
                 \".\"; {missing}"
            )),
            Some(c) => {
                self.error(&format!("\"{c}\" is not expected here; +, -, *, /, ^ or \")\" is; {missing}"))
            }
        })
    }

    /// A column's name between signs; the closing one twice is part of the name.
    fn quoted(&mut self, open: char) -> Result<()> {
        let close = if open == '{' { '}' } else { open };
        let (mut name, mut chars) =
            (String::new(), self.text[self.at + 1..].char_indices().peekable());
        let end = loop {
            match chars.next() {
                None => {
                    let message = format!("the \"{open}\" is not closed: \"{close}\" is expected");
                    return Err(self.error(&message));
                }
                Some((i, c)) if c == close => match chars.next_if(|(_, next)| *next == close) {
                    Some(_) => name.push(close),
                    None => break self.at + 1 + i + close.len_utf8(),
                },
                Some((_, c)) => name.push(c),
            }
        };
        let Some(k) = self.columns.iter().position(|column| *column == name) else {
            return Err(self.unknown(&name, false));
        };
        self.push(Op::Column(k))?;
        self.at = end;
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let plain = bytes.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let mut end = plain;
        if bytes.get(end).is_some_and(|b| matches!(b, b'e' | b'E')) {
            let sign = usize::from(bytes.get(end + 1).is_some_and(|b| b"+-".contains(b)));
            // 2e is not a number with an exponent, and 2 e no product.
            let exponent = digits(end + 1 + sign);
            end += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        let text = &rest[..end];
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.push(Op::Number(number))?;
                self.at += end;
                Ok(())
            }
            Ok(_) => Err(self.error(&format!("\"{}\" is too large a number", shortened(text)))),
            Err(_) => Err(self.error(&format!("\"{}\" is not a number", shortened(text)))),
        }
    }

    fn word(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = &rest[..end];
        let called = rest[end..].trim_start().starts_with('(');
        if !called {
            let op = self.meaning(name)?;
            self.push(op)?;
            self.at += end;
            return Ok(());
        }
        let Some(function) = Function::named(name) else {
            let is_column = self.columns.iter().any(|column| column == name);
            let hint = if is_column || matches!(name, "t" | "x" | "pi" | "e") {
                ": a product is written with *".to_string()
            } else {
                format!("; there are {}", functions())
            };
            return Err(self.error(&format!("there is no function \"{name}\"{hint}")));
        };
        self.at += end;
        self.peek();
        self.parenthesis()?;
        self.push(Op::Call(function))
    }

    /// What a bare name stands for: words with a meaning of their own go before columns.
    fn meaning(&mut self, name: &str) -> Result<Op> {
        let column = self.columns.iter().position(|column| column == name);
        let own = match (name, self.own) {
            ("x", Some(own)) => Some(Op::Column(own)),
            ("t", _) => Some(Op::Time),
            ("pi", _) => Some(Op::Number(std::f64::consts::PI)),
            ("e", _) => Some(Op::Number(std::f64::consts::E)),
            _ => None,
        };
        match (own, column) {
            (Some(op), column) => {
                // A table of one column x has nothing to confuse.
                let same = column.is_none_or(|k| op == Op::Column(k) && self.columns.len() == 1);
                if !same && !self.shadowed.iter().any(|word| word == name) {
                    self.shadowed.push(name.to_string());
                }
                Ok(op)
            }
            (None, Some(k)) => Ok(Op::Column(k)),
            (None, None) => Err(self.unknown(name, true)),
        }
    }

    fn unknown(&self, name: &str, bare: bool) -> Error {
        let name_shown = shortened(name);
        if self.columns.is_empty() {
            let message = match bare {
                true => {
                    format!("\"{name_shown}\" is not known; the diffusion may depend on t alone")
                }
                false => "no column can stand here; the diffusion may depend on t alone".into(),
            };
            return self.error(&message);
        }
        let mut message = format!("\"{name_shown}\" is not known; there are ");
        message += if bare { "t, pi, e and the columns " } else { "the columns " };
        message += &some_of(self.columns);
        if bare && Function::named(name).is_some() {
            message += &format!("; the function is written {name}(...)");
        } else if bare && name == "x" {
            message += "; x is the column itself only in one expression for all columns";
        } else if bare && self.columns.iter().any(|c| c.starts_with(name)) {
            message +=
                "; a name with blanks or signs in it is written in braces, such as {my column}";
        }
        self.error(&message)
    }
}

fn functions() -> String {
    Function::ALL.map(Function::name).join(", ")
}
