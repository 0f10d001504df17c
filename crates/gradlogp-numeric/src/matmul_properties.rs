//! Matrix products at random shapes, orientations and places, by every instruction set that this machine has,
//! against sums in f64: right values, nothing written beside C, and rows that do not depend on their neighbours.

use proptest::prelude::*;
use pulp::Arch;

use crate::Real;
use crate::matmul::{Mat, MatMut, generic};

/// The instruction sets of this machine.
fn instruction_sets() -> Vec<(&'static str, Arch)> {
    let mut sets = vec![("scalar", Arch::Scalar)];
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        sets.extend(V3::try_new().map(|simd| ("AVX2", Arch::V3(simd))));
        sets.extend(V4::try_new().map(|simd| ("AVX-512", Arch::V4(simd))));
    }
    #[cfg(target_arch = "aarch64")]
    sets.extend(pulp::aarch64::Neon::try_new().map(|simd| ("NEON", Arch::Neon(simd))));
    sets
}

/// A product to be made.
#[derive(Debug, Clone)]
struct Case {
    /// C is m x n, the sum over k.
    m: usize,
    k: usize,
    n: usize,
    /// Whether A and B are transposes of what is stored.
    turned: (bool, bool),
    /// Rows and columns before and behind C in the matrix that it is a part of.
    around: [usize; 4],
    accumulate: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let shape = (0usize..70, 0usize..70, 0usize..70);
    let around = prop::array::uniform4(0usize..4);
    (shape, any::<(bool, bool)>(), around, any::<bool>(), any::<u64>()).prop_map(
        |((m, k, n), turned, around, accumulate, seed)| Case {
            m,
            k,
            n,
            turned,
            around,
            accumulate,
            seed,
        },
    )
}

/// Numbers of both signs and several magnitudes, the same for a seed.
fn numbers<T: Real>(seed: u64, count: usize) -> Vec<T> {
    let mut state = seed | 1;
    let mut next = || {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as f64 / u64::MAX as f64 - 0.5
    };
    (0..count).map(|_| T::of(next() * (4.0 * next()).exp())).collect()
}

/// A matrix of numbers, stored as it is or turned.
struct Stored<T> {
    data: Vec<T>,
    rows: usize,
    cols: usize,
    turned: bool,
}

impl<T: Real> Stored<T> {
    fn new(seed: u64, rows: usize, cols: usize, turned: bool) -> Self {
        Stored { data: numbers(seed, rows * cols), rows, cols, turned }
    }

    fn mat(&self) -> Mat<'_, T> {
        match self.turned {
            false => Mat::new(&self.data, self.rows, self.cols),
            true => Mat::new(&self.data, self.cols, self.rows).t(),
        }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        let place = if self.turned { j * self.rows + i } else { i * self.cols + j };
        self.data[place].to_f64()
    }

    /// Some of the rows, stored as these are.
    fn some(&self, rows: &[usize]) -> Self {
        let element = |i: usize, j: usize| T::of(self.at(rows[i], j));
        let (outer, inner) =
            if self.turned { (self.cols, rows.len()) } else { (rows.len(), self.cols) };
        let at = |o: usize, i: usize| if self.turned { element(i, o) } else { element(o, i) };
        let data = (0..outer * inner).map(|q| at(q / inner, q % inner)).collect();
        Stored { data, rows: rows.len(), cols: self.cols, turned: self.turned }
    }
}

/// Elements that are in no matrix, before and behind the one that C is a part of.
const CANARIES: usize = 64;
const CANARY: f64 = -12345.0;

/// Right values at C, and nothing else touched.
fn check<T: Real>(name: &str, arch: Arch, case: &Case) -> Result<(), TestCaseError> {
    let Case { m, k, n, turned, around, accumulate, seed } = *case;
    let (a, b) = (Stored::<T>::new(seed, m, k, turned.0), Stored::<T>::new(!seed, k, n, turned.1));
    let [above, below, left, right] = around;
    let (rows, cols) = (above + m + below, left + n + right);
    let before: Vec<T> = numbers(seed ^ 0x5eed, rows * cols);
    let mut memory = vec![T::of(CANARY); rows * cols + 2 * CANARIES];
    memory[CANARIES..CANARIES + rows * cols].copy_from_slice(&before);
    let whole = MatMut::new(&mut memory[CANARIES..CANARIES + rows * cols], rows, cols);
    let c = whole.part(above..above + m, left..left + n);
    generic(arch, c, a.mat(), b.mat(), accumulate);
    let (front, rest) = memory.split_at(CANARIES);
    let (after, behind) = rest.split_at(rows * cols);
    let still = front.iter().chain(behind).all(|x| x.to_f64() == CANARY);
    prop_assert!(still, "{name}: written beside the memory of C");
    for i in 0..rows {
        for j in 0..cols {
            let (old, new) = (before[i * cols + j].to_f64(), after[i * cols + j].to_f64());
            let inside = (above..above + m).contains(&i) && (left..left + n).contains(&j);
            if !inside {
                prop_assert!(old.to_bits() == new.to_bits(), "{name}: ({i}, {j}) beside C changed");
                continue;
            }
            let terms = (0..k).map(|p| a.at(i - above, p) * b.at(p, j - left));
            let start = if accumulate { old } else { 0.0 };
            let (sum, size) = terms.fold((start, start.abs()), |(s, z), x| (s + x, z + x.abs()));
            // Each addition and product rounds once at most.
            let bound = 2.0 * (k + 2) as f64 * T::ROUNDOFF * size;
            prop_assert!((new - sum).abs() <= bound, "{name}: ({i}, {j}) is {new}, not {sum}");
        }
    }
    Ok(())
}

/// A row of C alone, and among others at other places, has the bits that it has in the whole product.
fn check_rows<T: Real>(name: &str, arch: Arch, case: &Case) -> Result<(), TestCaseError> {
    let Case { m, k, n, turned, seed, .. } = *case;
    let (a, b) = (Stored::<T>::new(seed, m, k, turned.0), Stored::<T>::new(!seed, k, n, turned.1));
    let product = |a: &Stored<T>| {
        let mut c = vec![T::ZERO; a.rows * n];
        generic(arch, MatMut::new(&mut c, a.rows, n), a.mat(), b.mat(), false);
        c
    };
    let whole = product(&a);
    let backwards: Vec<usize> = (0..m).rev().collect();
    let third: Vec<usize> = (0..m).step_by(3).collect();
    let alone = (0..m).map(|i| vec![i]);
    for some in alone.chain([backwards, third]) {
        let found = product(&a.some(&some));
        for (row, i) in some.iter().enumerate() {
            for j in 0..n {
                let (one, all) = (found[row * n + j].to_f64(), whole[i * n + j].to_f64());
                let same = one.to_bits() == all.to_bits();
                prop_assert!(
                    same,
                    "{name}: row {i} is {one:e} among {} rows, {all:e} in all",
                    some.len()
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn products_are_right_and_touch_nothing_else(case in cases()) {
        for (name, arch) in instruction_sets() {
            check::<f32>(&format!("{name}, f32"), arch, &case)?;
            check::<f64>(&format!("{name}, f64"), arch, &case)?;
        }
    }

    /// For rows that are stored as rows, as batches are.
    #[test]
    fn a_row_of_a_product_does_not_depend_on_the_others(case in cases()) {
        let case = Case { turned: (false, case.turned.1), ..case };
        for (name, arch) in instruction_sets() {
            check_rows::<f32>(&format!("{name}, f32"), arch, &case)?;
            check_rows::<f64>(&format!("{name}, f64"), arch, &case)?;
        }
    }
}
