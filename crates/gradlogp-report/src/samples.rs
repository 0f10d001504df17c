//! How far samples can be relied on.

use gradlogp::draw::{ACCEPTED, Route, Samples};

use crate::render::{Check, Estimate, Grade};

/// Rows of the check table: how far the chains that drew `samples` can be relied on.
pub fn checks(samples: &Samples) -> Vec<Check> {
    let Route::Chains { .. } = samples.route else { return Vec::new() };
    let row =
        |name: &str, value: f64, expected: Option<String>, fine: Option<bool>, why: &str| Check {
            name: name.into(),
            value: Estimate { value, standard_error: None },
            expected,
            grade: match fine {
                Some(true) => Grade::Pass,
                Some(false) => Grade::Warn,
                None => Grade::Info,
            },
            explanation: why.into(),
        };
    let mut checks = Vec::new();
    checks.extend(samples.max_split_r_hat.map(|r| {
        let bound = samples.r_hat_bound();
        row(
            "Samples: largest split R-hat",
            r,
            Some(format!("below {bound:.2}")),
            Some(r <= bound),
            "Rank-normalized split R-hat of the chains that drew the samples, worst column: 1 where \
             chains agree with each other and with themselves over time.",
        )
    }));
    let sizes = [
        ("Samples: least effective size", samples.min_effective_sample_size, "the mean"),
        (
            "Samples: least effective size, tails",
            samples.min_tail_effective_sample_size,
            "the 5% or 95% quantile",
        ),
    ];
    for (name, size, of) in sizes {
        let why = format!(
            "How many independent draws the {} samples are worth, for {of} of the worst column.",
            samples.draws
        );
        checks.extend(size.map(|size| row(name, size, None, None, &why)));
    }
    checks.extend(samples.acceptance_rate.map(|rate| {
        row(
            "Samples: acceptance",
            rate,
            None,
            (rate < ACCEPTED).then_some(false),
            "Share of the sampler's proposals that were accepted after warm-up.",
        )
    }));
    checks
}
