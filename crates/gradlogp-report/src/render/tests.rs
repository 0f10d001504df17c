//! Whole pages: their figures are there, hostile and degenerate input does no harm.

use ndarray::{Array1, Array2, array};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const ALL_FIGURES: [&str; 7] = [
    "fig-loss",
    "fig-field",
    "fig-contours",
    "fig-scatter",
    "fig-frames",
    "fig-marginals",
    "fig-pairs",
];

fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Box and Muller.
    Array2::from_shape_simple_fn((rows, columns), || {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    })
}

fn history() -> Vec<HistoryPoint> {
    let noise = normal(4000, 1, 3);
    let curve = |s: f64| -4.7 + 5.5 / (1.0 + s / 120.0) + 4e4 * (-s / 8.0).exp();
    let point = |i: usize| {
        let step = 5 * i as u64;
        let validation_loss = (i.is_multiple_of(100)).then(|| Estimate {
            value: curve(step as f64) + 0.05 + 0.000_012 * step as f64,
            standard_error: Some(0.11),
        });
        HistoryPoint { step, train_loss: curve(step as f64) + 0.4 * noise[[i, 0]], validation_loss }
    };
    (0..4000).map(point).collect()
}

fn check(name: &str, value: f64, se: Option<f64>, expected: &str, grade: Grade) -> Check {
    Check {
        name: name.into(),
        value: Estimate { value, standard_error: se },
        expected: Some(expected.into()),
        grade,
        explanation: "What this figure measures, in one sentence that a scientist who has never \
                      heard of score matching can follow."
            .into(),
    }
}

fn base(title: &str, columns: usize) -> ReportData {
    ReportData {
        title: title.into(),
        fitted: Fitted {
            data_name: "two-moons".into(),
            rows: 12_000,
            columns,
            model: "potential, 3 x 128, softplus, Gaussian base".into(),
            objective: "ssm-vr".into(),
            slices: "rademacher, 1 slice".into(),
            seed: 7,
            version: "gradlogp 0.1.0".into(),
            date: None,
        },
        verdict: Verdict {
            grade: Grade::Pass,
            headline: "The fitted score passes every check on held-out rows.".into(),
            details: vec![
                "Its loss is −4.61 ± 0.05, and the Stein identities hold within their 95% bands."
                    .into(),
            ],
        },
        checks: vec![
            check(
                "Exact loss on held-out rows",
                -4.6123,
                Some(0.0512),
                "as low as possible",
                Grade::Info,
            ),
            check("Largest |E[s]| in standard errors", 2.113, None, "below 3.02", Grade::Pass),
            check("Stein slope c in E[s xᵀ] = −c I", 0.9712, Some(0.0123), "1", Grade::Warn),
            check("Worst split R-hat", 1.31, None, "below 1.05", Grade::Fail),
        ],
        history: history(),
        best_step: Some(12_500),
        settings: vec![
            ("hidden".into(), "128,128,128".into()),
            ("learning_rate".into(), "0.001".into()),
        ],
        ..ReportData::default()
    }
}

/// A banana: y = x^2 / 2 + noise, with exact log density and score on the grid.
fn banana() -> ReportData {
    let mut data = base("Two moons: fitted density", 2);
    let bend = |mut z: Array2<f64>| {
        z.rows_mut().into_iter().for_each(|mut r| {
            r[0] *= 1.3;
            r[1] = 0.5 * r[1] + 0.5 * r[0] * r[0];
        });
        z
    };
    data.columns = vec!["length (mm)".into(), "mass <g> & \"more\"".into()];
    data.data = bend(normal(2400, 2, 1));
    data.samples = Some(bend(normal(4000, 2, 2)));
    let spec = GridSpec::around(data.data.view(), 72);
    let points = spec.points();
    let residual = |x: f64, y: f64| (y - 0.5 * x * x) / 0.25;
    let score = Array2::from_shape_fn((72 * 72, 2), |(i, j)| {
        let (x, y) = (points[[i, 0]], points[[i, 1]]);
        if j == 0 { -x / 1.69 + residual(x, y) * x } else { -residual(x, y) }
    });
    let log_density = Array1::from_shape_fn(72 * 72, |i| {
        let (x, y) = (points[[i, 0]], points[[i, 1]]);
        -x * x / 3.38 - 0.125 * residual(x, y) * residual(x, y)
    });
    data.grid = Some(FieldGrid { spec, score, log_density: Some(log_density) });
    data
}

fn wide(columns: usize) -> ReportData {
    let mut data = base("Red wine: fitted score", columns);
    let mix = |z: Array2<f64>| {
        let mut out = z.clone();
        for j in 1..columns {
            for i in 0..z.nrows() {
                let v = 0.6 * z[[i, j - 1]] + 0.8 * z[[i, j]];
                out[[i, j]] = if j % 3 == 1 { (0.5 * v).exp() * 40.0 } else { 8.0 + v };
            }
        }
        out
    };
    let names = ["fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides"];
    data.columns = (0..columns)
        .map(|j| names.get(j).map_or_else(|| format!("measurement {j}"), ToString::to_string))
        .collect();
    data.data = mix(normal(800, columns, 1));
    data.samples = Some(mix(normal(2000, columns, 2)));
    data.verdict.grade = Grade::Warn;
    data.verdict.headline = "Usable with care: the score is about 3% too weak.".into();
    data.warnings = vec![
        "Column \"quality\" has 6 distinct values in 1599 rows; the loss of a tied column \
         runs to minus infinity. Use --dequantize."
            .into(),
    ];
    data
}

fn one_column() -> ReportData {
    let mut data = base("One column", 1);
    data.columns = vec!["temperature".into()];
    data.data = normal(500, 1, 1) * 1e-7 + 293.15;
    data.samples = Some(normal(500, 1, 2) * 1.2e-7 + 293.15);
    data.verdict.grade = Grade::Fail;
    data
}

/// Figure ids on a page, and that each has at least one drawing with a path in it.
fn figures(html: &str) -> Vec<&'static str> {
    let there = |id: &&str| html.contains(&format!("<figure id=\"{id}\""));
    let found: Vec<&str> = ALL_FIGURES.into_iter().filter(there).collect();
    for id in &found {
        let start = html.find(&format!("<figure id=\"{id}\"")).unwrap();
        let body = &html[start..start + html[start..].find("</figure>").unwrap()];
        let plot =
            body.split_once("<svg class=\"plot\"").unwrap_or_else(|| panic!("{id}: no plot")).1;
        assert!(plot.contains("<path class="), "{id} is empty");
        assert!(plot.contains("<text"), "{id} has no labels");
    }
    found
}

/// Pages are kept where `GRADLOGP_REPORT_DIR` says, to be looked at in a browser.
fn keep(name: &str, html: &str) {
    if let Some(dir) = std::env::var_os("GRADLOGP_REPORT_DIR") {
        std::fs::write(std::path::Path::new(&dir).join(name), html).unwrap();
    }
}

#[test]
fn two_columns_show_field_density_and_samples() {
    let html = render(&banana()).unwrap();
    keep("banana.html", &html);
    assert_eq!(
        figures(&html),
        ["fig-loss", "fig-field", "fig-contours", "fig-scatter", "fig-marginals"]
    );
    assert!(html.matches("class=\"arrow\"").count() > 200);
    assert!(html.contains("class=\"level-5\""));
    assert!(html.len() < 600_000, "{} bytes", html.len());
}

#[test]
fn the_way_from_noise_to_data_is_a_strip_of_frames() {
    let mut data = banana();
    let rows = data.samples.clone().unwrap();
    data.frames = [2.0, 1.5, 1.0].map(|k| (format!("t = {k}"), &rows * k)).to_vec();
    let html = render(&data).unwrap();
    keep("frames.html", &html);
    assert!(figures(&html).contains(&"fig-frames"));
    assert_eq!(html.matches("aria-label=\"Rows on their way, t = ").count(), 3);
    assert!(html.contains("Ways of some rows") && html.contains(">t = 1.5<"));
    data.frames[1].1 = Array2::zeros((3, 5));
    assert!(render(&data).is_err());
}

#[test]
fn more_columns_show_marginals_and_pairs_within_the_size_limit() {
    let html = render(&wide(11)).unwrap();
    keep("wide.html", &html);
    assert_eq!(figures(&html), ["fig-loss", "fig-marginals", "fig-pairs"]);
    assert_eq!(html.matches("aria-label=\"Histogram of ").count(), 11);
    assert!(html.contains("the 6 whose histograms differ most"));
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
}

#[test]
fn one_column_shows_its_histogram() {
    let html = render(&one_column()).unwrap();
    keep("one.html", &html);
    assert_eq!(figures(&html), ["fig-loss", "fig-marginals"]);
    assert!(html.contains("temperature − 293.1500000"), "the axis says what was subtracted");
}

#[test]
fn three_hundred_columns_are_capped_and_said() {
    let html = render(&wide(300)).unwrap();
    keep("many.html", &html);
    assert_eq!(html.matches("aria-label=\"Histogram of ").count(), 24);
    assert!(html.contains("Of 300 columns, the 24 with the largest D are shown."));
    assert!(html.len() < 1_500_000, "{} bytes", html.len());
}

#[test]
fn the_page_is_self_contained_and_inert() {
    let html = render(&banana()).unwrap();
    for forbidden in ["<script", "http://", "https://", "src=", "@import", "url("] {
        let found = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(forbidden), "{forbidden}");
    }
    assert_eq!(html, render(&banana()).unwrap(), "the same data give the same page");
}

#[test]
fn hostile_names_stay_text() {
    let mut data = wide(4);
    let attack = "</style><img src=x onerror=alert(1)>\u{0}\u{7}";
    data.columns = vec![attack.into(), "长".repeat(400), "\u{202e}x".into(), String::new()];
    data.title = attack.into();
    data.fitted.data_name = attack.into();
    data.warnings.push(attack.into());
    data.settings.push((attack.into(), attack.into()));
    data.verdict.headline = attack.into();
    data.checks[0].name = attack.into();
    let html = render(&data).unwrap();
    keep("hostile.html", &html);
    assert!(!html.contains("<img"));
    assert!(!html.contains('\u{0}') && !html.contains('\u{7}'));
    assert_eq!(html.matches("</style>").count(), 1);
    assert_eq!(figures(&html).len(), 3);
}

#[test]
fn degenerate_data_do_not_panic() {
    let columns = |d: usize| (0..d).map(|j| format!("c{j}")).collect::<Vec<_>>();
    let rows = [
        Array2::zeros((0, 3)),
        Array2::from_elem((1, 3), 5.0),
        Array2::from_elem((50, 3), 1e12),
        array![[1e12, f64::NAN, -1e300], [-1e12, f64::INFINITY, 1e300], [0.0, f64::NAN, 0.0]],
        normal(50, 3, 1) * 1e-300,
    ];
    for data in &rows {
        for samples in [None, Some(Array2::zeros((0, 3))), Some(normal(20, 3, 2) * 1e30)] {
            for d in 0..=3 {
                let cut = |a: &Array2<f64>| a.slice(ndarray::s![.., ..d]).to_owned();
                let report = ReportData {
                    columns: columns(d),
                    data: cut(data),
                    samples: samples.as_ref().map(cut),
                    ..ReportData::default()
                };
                let html = render(&report).unwrap();
                assert!(!html.contains("NaN") && !html.contains("inf "), "{data:?}");
            }
        }
    }
}

#[test]
fn degenerate_histories_do_not_panic() {
    let point = |step, train_loss, validation: Option<(f64, Option<f64>)>| HistoryPoint {
        step,
        train_loss,
        validation_loss: validation
            .map(|(value, standard_error)| Estimate { value, standard_error }),
    };
    let histories = [
        vec![point(0, f64::NAN, None)],
        vec![point(0, -3.0, Some((-2.0, None)))],
        vec![point(0, 1e300, Some((f64::NAN, Some(f64::NAN)))), point(1, f64::INFINITY, None)],
        vec![point(5, -1e12, None), point(6, 1e12, Some((3.0, Some(1e12))))],
        vec![point(u64::MAX, 1.0, None), point(0, 1.0, None)],
    ];
    for history in histories {
        let report = ReportData { history, best_step: Some(5), ..ReportData::default() };
        let html = render(&report).unwrap();
        assert!(!html.contains("NaN"));
    }
}

#[test]
fn undefined_fields_and_densities_do_not_panic() {
    let mut data = banana();
    let grid = data.grid.as_mut().unwrap();
    grid.score.fill(f64::NAN);
    grid.log_density.as_mut().unwrap().fill(f64::NEG_INFINITY);
    assert!(render(&data).is_ok());
    let grid = data.grid.as_mut().unwrap();
    grid.score.fill(0.0);
    grid.log_density.as_mut().unwrap().fill(0.0);
    assert!(render(&data).is_ok());
}

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let mut data = banana();
    data.columns.pop();
    assert!(render(&data).is_err());
    let mut data = banana();
    data.samples = Some(Array2::zeros((3, 5)));
    assert!(render(&data).is_err());
    let mut data = banana();
    data.grid.as_mut().unwrap().score = Array2::zeros((3, 2));
    assert!(render(&data).is_err());
}
