//! Which Taylor coefficients exist, and where they lie.

/// First-order coefficients of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum First {
    /// Identically zero: not stored.
    Zero,
    /// The same for every row: one row per direction. So it is with directions given once for all
    /// rows (such as the unit vectors of an exact trace) until the first nonlinearity.
    Shared,
    /// One row per direction and data row.
    PerRow,
}

/// The jet that is asked of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Values only.
    Value,
    /// First order along `count` directions.
    First {
        /// Whether the directions are the same for all rows.
        along: First,
        /// M.
        count: usize,
    },
    /// First order along `count` directions, of which the first `curved` are summed into the collapsed
    /// second order.
    Second {
        /// Whether the directions are the same for all rows.
        along: First,
        /// M.
        count: usize,
        /// At least one, at most `count`.
        curved: usize,
    },
    /// First order along `count` directions per row; the second order is the Laplacian, the sum over all unit
    /// vectors, none of which is followed. Only for graphs that [`super::has_laplacian`].
    Laplacian {
        /// M, or 0.
        count: usize,
    },
    /// Values, and the trace of the Jacobian, see [`super::Tape::traces`]. Only for graphs that
    /// [`super::has_trace`].
    Trace,
    /// Values, and of the first orders y1 of the output only the sum of their projections v.y1 on their own
    /// directions v, see [`super::Tape::traces`]. Only for graphs that [`super::has_projected`].
    Projected {
        /// Whether the directions are the same for all rows.
        along: First,
        /// M.
        count: usize,
    },
}

impl Request {
    /// First order along `count` directions; values only where there are none.
    pub fn first(along: First, count: usize) -> Self {
        match along {
            First::Shared | First::PerRow if count > 0 => Request::First { along, count },
            _ => Request::Value,
        }
    }

    /// First order along `count`, collapsed second order over the first `curved` of them.
    pub fn second(along: First, count: usize, curved: usize) -> Self {
        match Request::first(along, count) {
            Request::First { along, count } if curved > 0 => {
                Request::Second { along, count, curved }
            }
            fewer => fewer,
        }
    }

    /// How the directions are given.
    pub fn along(&self) -> First {
        match *self {
            Request::Value | Request::Trace | Request::Laplacian { count: 0 } => First::Zero,
            Request::Laplacian { .. } => First::PerRow,
            Request::First { along, .. }
            | Request::Second { along, .. }
            | Request::Projected { along, .. } => along,
        }
    }

    /// Number of directions M.
    pub fn directions(&self) -> usize {
        match *self {
            Request::Value | Request::Trace => 0,
            Request::First { count, .. }
            | Request::Second { count, .. }
            | Request::Laplacian { count }
            | Request::Projected { count, .. } => count,
        }
    }

    /// How many of the directions enter the collapsed second order.
    pub fn curved(&self) -> usize {
        match *self {
            Request::Second { curved, .. } => curved,
            _ => 0,
        }
    }

    /// Whether there is something that all rows share, which [`super::Tape::prepare`] computes.
    pub fn is_prepared(&self) -> bool {
        matches!(self, Request::Laplacian { .. } | Request::Trace)
    }

    /// Coefficient rows per data row when nothing is zero.
    pub fn coefficients(&self) -> usize {
        let second = matches!(self, Request::Second { .. } | Request::Laplacian { .. });
        1 + self.directions() + usize::from(second)
    }
}

/// Which coefficients one node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Columns.
    pub width: usize,
    /// First order.
    pub first: First,
    /// Whether the collapsed second order is there.
    pub second: bool,
}

/// Sizes that hold for all nodes of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) rows: usize,
    pub(crate) directions: usize,
    pub(crate) curved: usize,
}

impl Extent {
    pub(crate) fn of(request: Request, rows: usize) -> Self {
        Extent { rows, directions: request.directions(), curved: request.curved() }
    }
}

/// Names one coefficient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coefficient {
    /// y0.
    Value,
    /// y1 along direction m.
    First(usize),
    /// y2, summed over the curved directions.
    Second,
}

impl Form {
    /// Rows of the stacked matrix \[value | first order | second order\].
    pub(crate) fn stack_rows(&self, e: Extent) -> usize {
        self.first_rows(e) + e.rows * (1 + usize::from(self.second))
    }

    fn first_rows(&self, e: Extent) -> usize {
        match self.first {
            First::Zero => 0,
            First::Shared => e.directions,
            First::PerRow => e.directions * e.rows,
        }
    }

    /// Row of the stacked matrix that holds coefficient `c` for data row `row`; None if zero.
    fn stack_row(&self, e: Extent, c: Coefficient, row: usize) -> Option<usize> {
        match (c, self.first) {
            (Coefficient::Value, _) => Some(row),
            (Coefficient::First(_), First::Zero) => None,
            (Coefficient::First(m), First::Shared) => Some(e.rows + m),
            (Coefficient::First(m), First::PerRow) => Some((1 + m) * e.rows + row),
            (Coefficient::Second, _) => self.second.then(|| e.rows + self.first_rows(e) + row),
        }
    }

    /// Every stored (coefficient, row), in the order of the stack.
    pub(crate) fn stored(&self, e: Extent) -> impl Iterator<Item = (Coefficient, usize)> + use<> {
        let first_rows = match self.first {
            First::PerRow => e.rows,
            _ => 1,
        };
        let directions = if self.first == First::Zero { 0 } else { e.directions };
        let second = if self.second { e.rows } else { 0 };
        let values = (0..e.rows).map(|r| (Coefficient::Value, r));
        let firsts = (0..directions)
            .flat_map(move |m| (0..first_rows).map(move |r| (Coefficient::First(m), r)));
        let seconds = (0..second).map(|r| (Coefficient::Second, r));
        values.chain(firsts).chain(seconds)
    }
}

/// All coefficients of one node, stacked row-major.
#[derive(Debug, Clone, Copy)]
pub struct Jet<'a, T> {
    #[doc(hidden)]
    pub form: Form,
    pub(crate) extent: Extent,
    #[doc(hidden)]
    pub data: &'a [T],
}

impl<'a, T> Jet<'a, T> {
    /// Which coefficients exist.
    pub fn form(&self) -> Form {
        self.form
    }

    /// One coefficient of one row; None where it is identically zero.
    pub fn row(&self, c: Coefficient, row: usize) -> Option<&'a [T]> {
        let at = self.form.stack_row(self.extent, c, row)? * self.form.width;
        Some(&self.data[at..at + self.form.width])
    }

    /// The value of one row.
    pub fn value(&self, row: usize) -> &'a [T] {
        &self.data[row * self.form.width..(row + 1) * self.form.width]
    }
}

/// The same, writable.
#[derive(Debug)]
pub struct JetMut<'a, T> {
    #[doc(hidden)]
    pub form: Form,
    pub(crate) extent: Extent,
    #[doc(hidden)]
    pub data: &'a mut [T],
}

impl<T> JetMut<'_, T> {
    /// One coefficient of one row; None where it is identically zero.
    pub fn row_mut(&mut self, c: Coefficient, row: usize) -> Option<&mut [T]> {
        let at = self.form.stack_row(self.extent, c, row)? * self.form.width;
        Some(&mut self.data[at..at + self.form.width])
    }
}
