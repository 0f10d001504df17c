//! Columns that are linear functions of others, exactly or nearly.
//!
//! Rows then lie on a plane, on which a density in all columns does not exist: across it the score grows without
//! bound as the fit gets better. Columns are taken in their order; one whose regression on those kept before it
//! leaves less than [`OWN_SHARE`] of its variance is dependent, and takes no part in what follows (Cholesky factor
//! of the correlation matrix without pivots, so the regression comes with it).

use ndarray::{Array2, ArrayView2, Axis, s};

/// A column that keeps less of its variance than this once the others are known is dependent on them. The score along
/// the direction that is left is then more than thirty times that of the columns.
const OWN_SHARE: f64 = 1e-3;

/// Coefficients below this, of columns with standard deviation 1, are not told.
const INVOLVED: f64 = 0.01;

/// More columns are not looked at: the time grows with their cube.
const MOST_COLUMNS: usize = 1000;

/// Rows looked at beyond four times the number of columns.
const ROWS: usize = 2000;

/// `column` = `constant` + sum of coefficients times columns, up to a rest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Relation {
    pub(super) column: usize,
    /// Other columns and their coefficients, in the columns' units.
    pub(super) terms: Vec<(usize, f64)>,
    pub(super) constant: f64,
    /// Share of the column's variance that is the rest's.
    pub(super) own_share: f64,
}

/// All relations of a table of finite numbers; columns in `skip` take no part, nor may they be constant.
pub(super) fn relations(rows: ArrayView2<'_, f64>, skip: &[usize]) -> Vec<Relation> {
    let columns: Vec<usize> = (0..rows.ncols()).filter(|j| !skip.contains(j)).collect();
    let d = columns.len();
    if !(2..=MOST_COLUMNS).contains(&d) || rows.nrows() < 2 * d + 10 {
        return Vec::new();
    }
    // Rows of the whole table, evenly.
    let every = (rows.nrows() / (4 * d + ROWS)).max(1);
    let part = rows.slice(s![..;every as isize, ..]).select(Axis(1), &columns);
    let n = part.nrows() as f64;
    let mut z = part;
    let (mut mean, mut sd) = (vec![0.0; d], vec![0.0; d]);
    for (k, mut column) in z.columns_mut().into_iter().enumerate() {
        let first = column.sum() / n;
        column -= first;
        let largest = column.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        if !(largest > 0.0 && largest.is_finite()) {
            return Vec::new();
        }
        let second = column.sum() / n;
        column -= second;
        column /= largest;
        let scale = (column.dot(&column) / n).sqrt();
        column /= scale;
        (mean[k], sd[k]) = (first + second, largest * scale);
    }
    let correlation = z.t().dot(&z) / n;
    let mut factor = Array2::<f64>::zeros((d, d));
    let mut kept: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    for j in 0..d {
        let mut row = vec![0.0; kept.len()];
        for (k, &i) in kept.iter().enumerate() {
            let known: f64 = (0..k).map(|l| factor[[i, l]] * row[l]).sum();
            row[k] = (correlation[[i, j]] - known) / factor[[i, k]];
        }
        // Each column explains 1/n by chance.
        let rest = 1.0 - row.iter().map(|x| x * x).sum::<f64>();
        let own_share = (rest * n / (n - kept.len() as f64)).max(0.0);
        if own_share >= OWN_SHARE {
            let k = kept.len();
            row.iter().enumerate().for_each(|(l, x)| factor[[j, l]] = *x);
            factor[[j, k]] = rest.sqrt();
            kept.push(j);
            continue;
        }
        let weights = solve_transposed(&factor, &kept, row);
        let involved = kept.iter().zip(&weights).filter(|(_, w)| w.abs() > INVOLVED);
        let terms: Vec<(usize, f64)> =
            involved.map(|(i, weight)| (*i, weight * sd[j] / sd[*i])).collect();
        let constant = mean[j] - terms.iter().map(|(i, c)| c * mean[*i]).sum::<f64>();
        let terms = terms.into_iter().map(|(i, c)| (columns[i], c)).collect();
        found.push(Relation { column: columns[j], terms, constant, own_share });
    }
    found
}

/// w with L^T w = `right`, L being the rows of `factor` that were kept.
fn solve_transposed(factor: &Array2<f64>, kept: &[usize], right: Vec<f64>) -> Vec<f64> {
    let mut w = right;
    for k in (0..kept.len()).rev() {
        let later: f64 = (k + 1..kept.len()).map(|l| factor[[kept[l], k]] * w[l]).sum();
        w[k] = (w[k] - later) / factor[[kept[k], k]];
    }
    w
}

/// The sum of all columns where it is the same in every row, but for rounding, and no value is negative: then the
/// rows are compositions. None where the columns only vary too little for their sum to vary.
pub(super) fn constant_sum(rows: ArrayView2<'_, f64>) -> Option<f64> {
    let (n, d) = rows.dim();
    if d < 3 || n < 10 || rows.iter().any(|x| *x < 0.0) {
        return None;
    }
    let sums = rows.sum_axis(Axis(1));
    let mean = sums.mean()?;
    let own: f64 = rows.columns().into_iter().map(|column| column.var(0.0)).sum();
    (sums.var(0.0) < 2.5e-3 * own && mean > 0.0).then_some(mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::concatenate;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn uniform(n: usize, d: usize) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        Array2::from_shape_simple_fn((n, d), || rng.random::<f64>())
    }

    #[test]
    fn coefficients_are_those_of_the_relation() {
        let x = uniform(3000, 4);
        let c = 3.0 + 2.0 * &x.column(0) - 0.5 * &x.column(2);
        let rows = concatenate![
            Axis(1),
            x,
            c.insert_axis(Axis(1)),
            uniform(3000, 1).mapv(|x| x.exp().sin())
        ];
        let found = relations(rows.view(), &[]);
        let [Relation { column: 4, terms, constant, own_share }] = &found[..] else {
            panic!("{found:?}")
        };
        let [(0, a), (2, b)] = terms[..] else { panic!("{terms:?}") };
        assert!((a - 2.0).abs() < 1e-9 && (b + 0.5).abs() < 1e-9 && (constant - 3.0).abs() < 1e-9);
        assert!(*own_share < 1e-12);
    }

    #[test]
    fn the_rest_is_measured() {
        // A rest of variance v / (1/12 + v) of the column's.
        let x = uniform(4000, 3);
        for (width, found) in [(0.02, 1), (0.05, 0)] {
            let sum = &x.column(0) + width * &x.column(1);
            let rows = concatenate![
                Axis(1),
                x.slice(s![.., ..1]),
                x.slice(s![.., 2..]),
                sum.insert_axis(Axis(1))
            ];
            let relations = relations(rows.view(), &[]);
            assert_eq!(relations.len(), found, "{width}");
            for relation in relations {
                assert!((relation.own_share / (width * width) - 1.0).abs() < 0.1, "{relation:?}");
            }
        }
        assert!(relations(uniform(20, 8).view(), &[]).is_empty(), "too few rows to tell");
        assert!(relations(uniform(200, 30).view(), &[]).is_empty());
    }

    #[test]
    fn compositions_have_a_constant_sum() {
        let parts = uniform(400, 4);
        let shares = &parts / &parts.sum_axis(Axis(1)).insert_axis(Axis(1));
        assert!((constant_sum(shares.view()).unwrap() - 1.0).abs() < 1e-12);
        let percent = shares.mapv(|x| (100.0 * x).round());
        assert!((constant_sum(percent.view()).unwrap() - 100.0).abs() < 0.2);
        assert_eq!(constant_sum(parts.view()), None);
        assert_eq!(constant_sum((&parts * 1e-3 + 100.0).view()), None);
        assert_eq!(constant_sum((&shares - 0.5).view()), None);
    }
}
