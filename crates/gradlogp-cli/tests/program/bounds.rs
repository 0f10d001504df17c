//! Tables with bounds, from the fit to the samples.

use super::support::{Folder, QUICK};

/// Rows of an exponential waiting time of mean 5, and of an independent sum of three uniform shares.
fn waits(n: usize) -> String {
    let fraction = |x: f64| x - x.floor();
    let row = |i: usize| {
        let u = |k: f64| fraction(i as f64 * k.sqrt());
        format!("{:.9},{:.9}\n", -5.0 * u(2.0).ln(), u(3.0) + u(5.0) + u(7.0))
    };
    format!("wait,b\n{}", (1..=n).map(row).collect::<String>())
}

#[test]
fn a_waiting_time_is_fitted_checked_scored_and_sampled_within_its_bound() {
    let folder = Folder::new();
    folder.write("waits.csv", waits(4000));
    let fit = "fit waits.csv --bounds wait=0:inf --steps 600 --hidden 16,16 --rate 0.01 --ema 0.99 --threads 1";
    let json = folder.succeeds(&format!("{fit} -o m --json")).json();
    assert_eq!(json["consistent"], true, "{json}");
    let info = folder.succeeds("info m");
    assert!(info.out.contains("wait=0:"), "{info:?}");
    // The score of the waiting time is -1/5 everywhere, up to the bound.
    folder.write("at.csv", "wait,b\n0.5,1.5\n2,1.5\n5,1.5\n10,1.5\n");
    folder.succeeds("score m at.csv -o s.csv");
    for line in folder.text("s.csv").lines().skip(1) {
        let score: f64 = line.split(',').next().unwrap().parse().unwrap();
        assert!((score + 0.2).abs() < 0.06, "{line}");
    }
    folder.succeeds("sample m -n 400 --chains 40 --warm-up 200 --thinning 5 -o x.csv");
    let waits: Vec<f64> = folder
        .text("x.csv")
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap().parse().unwrap())
        .collect();
    let mean = waits.iter().sum::<f64>() / waits.len() as f64;
    assert!(waits.iter().all(|w| *w >= 0.0) && (3.5..6.5).contains(&mean), "{mean}");
    folder.write("new.csv", "wait,b\n1,1\n-0.5,1\n2,1\n");
    let pieces = ["row 2, column \"wait\"", "-0.5 lies below the bound 0"];
    folder.fails(3, "eval m new.csv", &pieces);
    folder.fails(3, "score m new.csv", &pieces);
    folder.fails(2, "impute m new.csv", &["was fitted with bounds"]);
}

/// Held-out losses and variances are those of the weighted loss: here s = -1/rate-like constants suffice, and the
/// weighted loss of waits in standard deviations, w = min(1, x), is least near -(1 - 1/e)/2 = -0.316.
#[test]
fn ways_are_compared_within_bounds() {
    let folder = Folder::new();
    folder.write("waits.csv", waits(4000));
    let line = "compare waits.csv --drop b --bounds wait=0:inf --objectives ssm,exact --steps 300 --hidden 8 \
                --rate 0.01 --evaluate-every 50 --threads 1 --draws 16";
    let json = folder.succeeds(&format!("{line} --json")).json();
    let ways = json["ways"].as_array().unwrap();
    for way in ways {
        let number = |key: &str| way[key].as_f64().unwrap();
        let miss = number("exact_loss") + 0.5 * (1.0 - (-1f64).exp());
        assert!(miss.abs() < 0.03 + 3.0 * number("exact_loss_se"), "{way}");
    }
    // In one column a Rademacher slice is exact, weighted or not; a Gaussian one is not.
    assert!(
        ways.iter().all(|w| w["relative_gradient_variance"].as_f64().unwrap() < 1e-8),
        "{json}"
    );
    let bad = "compare waits.csv --bounds wait=0:inf --objectives dsm";
    folder.fails(2, bad, &["is not for data with bounds"]);
}

#[test]
fn parts_of_a_composition_and_a_ball() {
    let folder = Folder::new();
    let fraction = |x: f64| x - x.floor();
    let row = |i: usize| {
        let e = [2.0, 3.0, 5.0].map(|k: f64| -fraction(i as f64 * k.sqrt()).ln());
        let total: f64 = e.iter().sum();
        format!("{:.9},{:.9},{:.9}\n", e[0] / total, e[1] / total, 1.0 - (e[0] + e[1]) / total)
    };
    folder.write("parts.csv", format!("a,b,c\n{}", (1..=600).map(row).collect::<String>()));
    let fit = format!("fit parts.csv {QUICK} --domain simplex --model score -o s");
    folder.fails(3, &fit, &["sum to 1 in every row", "--drop"]);
    folder.succeeds(&format!("{fit} --drop c --report r.html"));
    // A score field has no density to reject steps by; those that leave the simplex are not taken.
    folder.succeeds("sample s -n 300 --chains 100 --warm-up 100 --thinning 5 -o x.csv");
    for line in folder.text("x.csv").lines().skip(1) {
        let x: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
        assert!(x.iter().all(|x| *x >= 0.0) && x[0] + x[1] <= 1.0 + 1e-12, "{line}");
    }
    let ball = format!("fit parts.csv {QUICK} --drop c -o b --domain ball:");
    folder.succeeds(&format!("{ball}1"));
    folder.fails(3, &format!("{ball}0.5"), &["parts.csv, row", "times the radius"]);
}

#[test]
fn bounds_that_cannot_be_are_refused_by_name() {
    let folder = Folder::new();
    folder.write("waits.csv", waits(100));
    for (code, options, piece) in [
        (2, "--bounds wait=2:1", "must lie below the upper bound"),
        (2, "--bounds wait", "must be COLUMN=LOW:HIGH"),
        (2, "--bounds gone=0:1", "there is no column \"gone\". The columns are \"wait\", \"b\""),
        (2, "--bounds wait=0:,wait=0:", "given twice"),
        (2, "--bounds wait=0: --standardize whiten", "--standardize: whiten mixes the columns"),
        (2, "--bounds wait=0: --objective dsm", "--objective: is not for data with bounds"),
        (2, "--bounds wait=0: --objective fd-ssm", "--objective: is not for data with bounds"),
        (2, "--bounds wait=0: --boundary-power 0.5", "--boundary-power: must be 1 or more"),
        (2, "--bounds wait=0: --domain simplex", "cannot be used with"),
        (2, "--bounds wait=0: --model dkef", "--model: kernel families are not fitted with bounds"),
        (2, "--domain cube", "must be simplex, or ball:RADIUS"),
        (3, "--bounds wait=1:inf", "waits.csv, row"),
    ] {
        folder.fails(code, &format!("fit waits.csv {options}"), &[piece]);
    }
}
