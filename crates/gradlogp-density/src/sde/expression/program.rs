//! Expressions as lists of operations, evaluated with a stack: for one point, or for many points at once, where
//! the stack holds a block of values in place of one.

/// Most operations in one expression.
pub(super) const MOST: usize = 1 << 16;

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Function {
    /// e^a.
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// Sine of an angle in radians.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Hyperbolic tangent.
    Tanh,
    /// |a|.
    Abs,
    /// -1, 0 or 1.
    Sign,
}

impl Function {
    /// All of them, in the order of messages.
    pub const ALL: [Function; 11] = [
        Function::Exp,
        Function::Log,
        Function::Sqrt,
        Function::Sin,
        Function::Cos,
        Function::Tan,
        Function::Sinh,
        Function::Cosh,
        Function::Tanh,
        Function::Abs,
        Function::Sign,
    ];

    /// Its name in expressions.
    pub fn name(self) -> &'static str {
        match self {
            Function::Exp => "exp",
            Function::Log => "log",
            Function::Sqrt => "sqrt",
            Function::Sin => "sin",
            Function::Cos => "cos",
            Function::Tan => "tan",
            Function::Sinh => "sinh",
            Function::Cosh => "cosh",
            Function::Tanh => "tanh",
            Function::Abs => "abs",
            Function::Sign => "sign",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        let name = if name == "ln" { "log" } else { name };
        Function::ALL.into_iter().find(|f| f.name() == name)
    }

    fn of(self) -> fn(f64) -> f64 {
        match self {
            Function::Exp => f64::exp,
            Function::Log => f64::ln,
            Function::Sqrt => f64::sqrt,
            Function::Sin => f64::sin,
            Function::Cos => f64::cos,
            Function::Tan => f64::tan,
            Function::Sinh => f64::sinh,
            Function::Cosh => f64::cosh,
            Function::Tanh => f64::tanh,
            Function::Abs => f64::abs,
            Function::Sign => sign,
        }
    }
}

/// The sign of a number; that of 0 is 0.
fn sign(a: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a.signum() }
}

/// a^b, fast for small whole b.
fn power(a: f64, b: f64) -> f64 {
    let small = b.fract() == 0.0 && (0.0..=16.0).contains(&b);
    if small { a.powi(b as i32) } else { a.powf(b) }
}

/// One step of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    Number(f64),
    Column(usize),
    Time,
    Negate,
    Call(Function),
    Join(Join),
}

/// What joins two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Join {
    pub(super) fn of(sign: char) -> Self {
        match sign {
            '+' => Join::Add,
            '-' => Join::Subtract,
            '*' => Join::Multiply,
            '/' => Join::Divide,
            _ => Join::Power,
        }
    }

    fn sign(self) -> char {
        match self {
            Join::Add => '+',
            Join::Subtract => '-',
            Join::Multiply => '*',
            Join::Divide => '/',
            Join::Power => '^',
        }
    }

    /// a joined with b.
    #[inline(always)]
    fn value(self, a: f64, b: f64) -> f64 {
        match self {
            Join::Add => a + b,
            Join::Subtract => a - b,
            Join::Multiply => a * b,
            Join::Divide => a / b,
            Join::Power => power(a, b),
        }
    }
}

/// Most values that wait at a time.
pub(super) fn depth(ops: &[Op]) -> usize {
    let (mut now, mut most) = (0usize, 0);
    for op in ops {
        match op {
            Op::Number(_) | Op::Column(_) | Op::Time => now += 1,
            Op::Negate | Op::Call(_) => {}
            Op::Join(_) => now -= 1,
        }
        most = most.max(now);
    }
    most
}

/// Depth up to which one point needs no memory of its own.
const SHALLOW: usize = 16;

pub(super) fn value(ops: &[Op], depth: usize, x: &[f64], t: f64) -> f64 {
    if depth <= SHALLOW {
        return run(ops, &mut [0.0; SHALLOW], x, t);
    }
    run(ops, &mut vec![0.0; depth], x, t)
}

fn run(ops: &[Op], stack: &mut [f64], x: &[f64], t: f64) -> f64 {
    // `top` is the place above the last value.
    let mut top = 0;
    for op in ops {
        match *op {
            Op::Number(number) => (stack[top], top) = (number, top + 1),
            Op::Column(k) => (stack[top], top) = (x[k], top + 1),
            Op::Time => (stack[top], top) = (t, top + 1),
            Op::Negate => stack[top - 1] = -stack[top - 1],
            Op::Call(function) => stack[top - 1] = function.of()(stack[top - 1]),
            Op::Join(join) => {
                top -= 1;
                stack[top - 1] = join.value(stack[top - 1], stack[top]);
            }
        }
    }
    stack[0]
}

/// Points in a block.
const LANES: usize = 64;

pub(super) fn values(
    ops: &[Op],
    depth: usize,
    x: &[f64],
    times: &[f64],
    mut put: impl FnMut(usize, f64),
) {
    let d = x.len() / times.len().max(1);
    let mut stack = vec![[0.0; LANES]; depth];
    for start in (0..times.len()).step_by(LANES) {
        let some = &times[start..(start + LANES).min(times.len())];
        run_block(ops, &mut stack, &x[start * d..(start + some.len()) * d], some);
        stack[0].iter().take(some.len()).enumerate().for_each(|(i, v)| put(start + i, *v));
    }
}

fn run_block(ops: &[Op], stack: &mut [[f64; LANES]], x: &[f64], times: &[f64]) {
    let (n, d) = (times.len(), x.len() / times.len());
    let mut top = 0;
    for op in ops {
        match *op {
            Op::Number(number) => (stack[top], top) = ([number; LANES], top + 1),
            Op::Column(k) => {
                let of_rows = x.chunks_exact(d).map(|row| row[k]);
                stack[top][..n].iter_mut().zip(of_rows).for_each(|(v, x)| *v = x);
                top += 1;
            }
            Op::Time => {
                stack[top][..n].copy_from_slice(times);
                top += 1;
            }
            Op::Negate => stack[top - 1].iter_mut().for_each(|v| *v = -*v),
            Op::Call(function) => {
                let function = function.of();
                stack[top - 1][..n].iter_mut().for_each(|v| *v = function(*v));
            }
            Op::Join(join) => {
                top -= 1;
                let (below, above) = stack.split_at_mut(top);
                let pairs = below[top - 1].iter_mut().zip(&above[0]);
                // One loop for each, without a choice inside.
                match join {
                    Join::Add => pairs.for_each(|(a, b)| *a += b),
                    Join::Subtract => pairs.for_each(|(a, b)| *a -= b),
                    Join::Multiply => pairs.for_each(|(a, b)| *a *= b),
                    Join::Divide => pairs.for_each(|(a, b)| *a /= b),
                    Join::Power => pairs.take(n).for_each(|(a, b)| *a = power(*a, *b)),
                }
            }
        }
    }
}

/// The list with one more operation; of numbers alone the number it gives, if it is one.
pub(super) fn push(ops: &mut Vec<Op>, op: Op) {
    let folded = match (op, ops.as_slice()) {
        (Op::Negate, [.., Op::Number(a)]) => Some((1, -a)),
        (Op::Call(function), [.., Op::Number(a)]) => Some((1, function.of()(*a))),
        (Op::Join(join), [.., Op::Number(a), Op::Number(b)]) => Some((2, join.value(*a, *b))),
        _ => None,
    };
    match folded {
        Some((operands, number)) if number.is_finite() => {
            ops.truncate(ops.len() - operands);
            ops.push(Op::Number(number));
        }
        _ => ops.push(op),
    }
}

/// The formula with the parentheses that it needs: long sums stay flat.
pub(super) fn to_text(ops: &[Op], columns: &[String]) -> String {
    // Pieces in the order of the text, and what goes before some of them; no operand is ever copied.
    let mut pieces: Vec<&str> = Vec::with_capacity(ops.len());
    let mut written: Vec<String> = vec![String::new(); ops.len()];
    let mut before: Vec<(usize, String)> = Vec::new();
    // Where the operands that wait begin, and how tightly they bind.
    let mut waiting: Vec<(usize, Tightness)> = Vec::new();
    for (at, (op, written)) in ops.iter().zip(&mut written).enumerate() {
        let (start, tightness, piece) = match *op {
            Op::Number(number) if number.is_sign_negative() => {
                *written = format!("({number:?})");
                (at, ATOM, "")
            }
            Op::Number(number) => {
                *written = format!("{number:?}");
                (at, ATOM, "")
            }
            Op::Column(k) => {
                let name = columns.get(k).map_or(String::new(), |name| name.replace('}', "}}"));
                *written = format!("{{{name}}}");
                (at, ATOM, "")
            }
            Op::Time => (at, ATOM, "t"),
            Op::Negate => {
                let (start, of) = waiting.pop().unwrap_or((at, ATOM));
                let close = of < PREFIX;
                before.push((start, if close { "-(" } else { "-" }.to_string()));
                (start, PREFIX, if close { ")" } else { "" })
            }
            Op::Call(function) => {
                let (start, _) = waiting.pop().unwrap_or((at, ATOM));
                before.push((start, format!("{}(", function.name())));
                (start, ATOM, ")")
            }
            Op::Join(join) => {
                let (right, of_right) = waiting.pop().unwrap_or((at, ATOM));
                let (left, of_left) = waiting.pop().unwrap_or((right, ATOM));
                let own = tightness(join);
                // Sums and products group from the left, powers from the right, where a sign may stand, too.
                let close_left = of_left < own || (of_left == own && own == POWER);
                let close_right = match own {
                    POWER => of_right < PREFIX,
                    _ => of_right <= own,
                };
                if close_left {
                    before.push((left, "(".to_string()));
                }
                let (close, open) =
                    (if close_left { ")" } else { "" }, if close_right { "(" } else { "" });
                before.push((right, format!("{close}{}{open}", join.sign())));
                (left, own, if close_right { ")" } else { "" })
            }
        };
        waiting.push((start, tightness));
        pieces.push(piece);
    }
    let mut openings = vec![Vec::new(); ops.len()];
    before.into_iter().for_each(|(at, opening)| openings[at].push(opening));
    let mut text = String::new();
    for ((piece, written), openings) in pieces.iter().zip(&written).zip(&openings) {
        // What was opened last encloses the rest.
        openings.iter().rev().for_each(|opening| text.push_str(opening));
        text.push_str(written);
        text.push_str(piece);
    }
    text
}

/// How tightly what an operation gives holds together in a text.
type Tightness = u8;
const PREFIX: Tightness = 3;
const POWER: Tightness = 4;
const ATOM: Tightness = 5;

fn tightness(join: Join) -> Tightness {
    match join {
        Join::Add | Join::Subtract => 1,
        Join::Multiply | Join::Divide => 2,
        Join::Power => POWER,
    }
}
