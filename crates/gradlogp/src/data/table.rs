//! A table of numbers with named columns, as the user gave it.

use ndarray::{Array2, Axis};

use super::{DataWarning, names};
use crate::{Error, Result};

/// Finite numbers in named columns, one row per observation, in the user's own units.
///
/// ```
/// use gradlogp::data::Table;
/// let rows = ndarray::array![[1.0, 10.0], [2.0, 20.0]];
/// let table = Table::new("demo", vec!["a".into(), "b".into()], rows).unwrap();
/// assert_eq!(table.select(&["b".into()]).unwrap().rows[[1, 0]], 20.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// File or data set name, for messages.
    pub name: String,
    /// Column names, unique.
    pub columns: Vec<String>,
    /// n x d values.
    pub rows: Array2<f64>,
}

impl Table {
    /// A table that passed [`validate`](Table::validate).
    ///
    /// # Errors
    /// Those of [`validate`](Table::validate).
    pub fn new(name: impl Into<String>, columns: Vec<String>, rows: Array2<f64>) -> Result<Self> {
        let table = Table { name: name.into(), columns, rows };
        table.validate()?;
        Ok(table)
    }

    /// Number of rows n.
    pub fn n_rows(&self) -> usize {
        self.rows.nrows()
    }

    /// Number of columns d.
    pub fn n_columns(&self) -> usize {
        self.rows.ncols()
    }

    /// Checks what every later step relies on.
    ///
    /// # Errors
    /// [`Error::Shape`] when names and columns differ in number; [`Error::Data`] for no row, no
    /// column, a name given twice, a value that is not finite.
    pub fn validate(&self) -> Result<()> {
        self.validate_with(false)
    }

    /// [`validate`](Table::validate), which lets NaN pass for a missing value if `missing`.
    pub(super) fn validate_with(&self, missing: bool) -> Result<()> {
        let (n, d) = self.rows.dim();
        if self.columns.len() != d {
            let (expected, found) = (vec![n, self.columns.len()], vec![n, d]);
            return Err(Error::Shape { operation: "table", expected, found });
        }
        if n == 0 || d == 0 {
            let what = if d == 0 { "columns" } else { "rows" };
            return Err(Error::data(&self.name, format!("the table has no {what}")));
        }
        self.refuse_repeated_names()?;
        self.refuse_non_finite(missing)
    }

    fn refuse_repeated_names(&self) -> Result<()> {
        let mut sorted: Vec<&String> = self.columns.iter().collect();
        sorted.sort();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => {
                let message = format!("two columns are named \"{}\"", pair[0]);
                Err(Error::data(&self.name, message))
            }
        }
    }

    fn refuse_non_finite(&self, missing: bool) -> Result<()> {
        let refused = |value: &f64| !(value.is_finite() || missing && value.is_nan());
        match self.rows.indexed_iter().find(|(_, value)| refused(value)) {
            None => Ok(()),
            Some(((row, column), value)) => Err(Error::Data {
                source_name: self.name.clone(),
                row: Some(row + 1),
                column: Some(self.columns[column].clone()),
                message: format!("{value} is not a finite number"),
            }),
        }
    }

    /// Where a column is.
    ///
    /// # Errors
    /// [`Error::Data`] for a name that is not there, with near names and all names.
    pub fn position(&self, column: &str) -> Result<usize> {
        names::position(&self.name, &self.columns, column)
    }

    /// The named columns, in the order given.
    ///
    /// # Errors
    /// [`Error::Data`] for a name that is not there (near names and all names are listed), a name
    /// given twice, or no name.
    pub fn select(&self, columns: &[String]) -> Result<Table> {
        Ok(self.take(&names::choose(&self.name, &self.columns, Some(columns), &[])?))
    }

    /// All columns but the named ones, in the table's order.
    ///
    /// # Errors
    /// [`Error::Data`] for a name that is not there, or when no column is left.
    pub fn drop_columns(&self, columns: &[String]) -> Result<Table> {
        Ok(self.take(&names::choose(&self.name, &self.columns, None, columns)?))
    }

    /// The columns of a fitted model, in its order: by name, else (no name in common, the same
    /// number) in order with a warning.
    ///
    /// # Errors
    /// [`Error::Data`] when they can be matched neither way.
    pub fn like_model(&self, model: &[String]) -> Result<(Table, Option<DataWarning>)> {
        match names::match_model(&self.name, &self.columns, model)? {
            names::Match::Names(indices) => Ok((self.take(&indices), None)),
            names::Match::Letters(indices) => {
                let taken = self.take(&indices);
                let (model, table) = (model.to_vec(), taken.columns.clone());
                Ok((taken, Some(DataWarning::MatchedByLetters { model, table })))
            }
            names::Match::Positions => {
                let (model, table) = (model.to_vec(), self.columns.clone());
                Ok((self.clone(), Some(DataWarning::MatchedByPosition { model, table })))
            }
        }
    }

    fn take(&self, indices: &[usize]) -> Table {
        Table {
            name: self.name.clone(),
            columns: indices.iter().map(|&i| self.columns[i].clone()).collect(),
            rows: self.rows.select(Axis(1), indices),
        }
    }

    /// A fingerprint of the contents: FNV-1a, 64 bits, over the shape, the column names and the bits
    /// of every value in row order (the table's name is left out). The same on every machine and in
    /// every run, so that a resumed run can refuse other data. Not a defence against forgery.
    pub fn content_hash(&self) -> u64 {
        let mut hash = Fnv::new();
        hash.write(&(self.n_rows() as u64).to_le_bytes());
        hash.write(&(self.n_columns() as u64).to_le_bytes());
        for name in &self.columns {
            hash.write(&(name.len() as u64).to_le_bytes());
            hash.write(name.as_bytes());
        }
        for value in &self.rows {
            hash.write(&value.to_bits().to_le_bytes());
        }
        hash.0
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo; RFC 9923).
pub(crate) struct Fnv(pub(crate) u64);

impl Fnv {
    pub(crate) fn new() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn demo() -> Table {
        let columns = ["a", "b", "c"].map(String::from).to_vec();
        Table::new("demo", columns, array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).unwrap()
    }

    #[test]
    fn selection_and_dropping() {
        let chosen = demo().select(&["c".into(), "a".into()]).unwrap();
        assert_eq!(chosen.columns, ["c", "a"]);
        assert_eq!(chosen.rows, array![[3.0, 1.0], [6.0, 4.0]]);
        let rest = demo().drop_columns(&["b".into()]).unwrap();
        assert_eq!(rest.columns, ["a", "c"]);
        assert_eq!(rest.rows, array![[1.0, 3.0], [4.0, 6.0]]);
        assert!(demo().select(&["z".into()]).is_err());
        assert!(demo().select(&[]).is_err());
    }

    #[test]
    fn columns_of_a_model_are_found_by_name_or_by_number_with_a_warning() {
        let model =
            |names: &[&str]| -> Vec<String> { names.iter().map(|s| s.to_string()).collect() };
        let (by_name, warning) = demo().like_model(&model(&["c", "a"])).unwrap();
        assert_eq!((by_name.columns, warning), (model(&["c", "a"]), None));
        let (by_number, warning) = demo().like_model(&model(&["u", "v", "w"])).unwrap();
        assert_eq!(by_number, demo());
        assert!(matches!(warning, Some(DataWarning::MatchedByPosition { .. })));
        assert!(demo().like_model(&model(&["u", "v"])).is_err());
    }

    #[test]
    fn validation_names_the_trouble() {
        let make = |columns: &[&str], rows| {
            Table::new("t", columns.iter().map(|s| s.to_string()).collect(), rows)
        };
        assert!(matches!(make(&["a"], array![[1.0, 2.0]]), Err(Error::Shape { .. })));
        let twice = make(&["a", "a"], array![[1.0, 2.0]]).unwrap_err().to_string();
        assert!(twice.contains("two columns are named \"a\""), "{twice}");
        let inf = make(&["a", "b"], array![[1.0, 2.0], [3.0, f64::INFINITY]]).unwrap_err();
        assert_eq!(inf.to_string(), "t, row 2, column \"b\": inf is not a finite number");
        assert!(make(&["a"], Array2::zeros((0, 1))).is_err());
    }

    #[test]
    fn fnv_test_vectors() {
        let hash = |text: &str| {
            let mut hash = Fnv::new();
            hash.write(text.as_bytes());
            hash.0
        };
        // Published test vectors of FNV-1a 64.
        assert_eq!(hash(""), 0xcbf29ce484222325);
        assert_eq!(hash("a"), 0xaf63dc4c8601ec8c);
        assert_eq!(hash("foobar"), 0x85944171f73967e8);
    }

    #[test]
    fn hash_sees_values_names_and_shape_but_not_layout() {
        let base = demo();
        let hash = base.content_hash();
        // FNV-1a written in Python over struct.pack("<QQ", 2, 3), then for every name its length as
        // "<Q" and its bytes, then struct.pack("<6d", 1, 2, 3, 4, 5, 6).
        assert_eq!(hash, 0x6d68319db5d012e4);
        let mut other = base.clone();
        other.rows[[1, 2]] = f64::from_bits(6.0f64.to_bits() + 1);
        assert_ne!(other.content_hash(), hash);
        let mut other = base.clone();
        other.columns[0] = "z".into();
        assert_ne!(other.content_hash(), hash);
        let mut other = base.clone();
        other.rows = base.rows.t().as_standard_layout().to_owned().reversed_axes();
        assert_eq!(other.content_hash(), hash);
        other.name = "elsewhere".into();
        assert_eq!(other.content_hash(), hash);
    }
}
