//! `gradlogp compare`.

use super::support::{Folder, table};

const SMALL: &str = "--steps 150 --hidden 8 --evaluate-every 50 --threads 1 --draws 16";

#[test]
fn every_way_is_fitted_once_and_measured() {
    let folder = Folder::new();
    folder.write("t.csv", table(600));
    let line = format!(
        "compare t.csv --objectives ssm,ssm-vr,exact,dsm --laws rademacher,orthogonal --slices 1,2 \
         --seeds 2 {SMALL} --report r.html"
    );
    let json = folder.succeeds(&format!("{line} --json")).json();
    let ways = json["ways"].as_array().unwrap();
    // Two objectives with two distributions and two numbers of slices, and two without slices.
    assert_eq!(ways.len(), 10, "{json}");
    let loss = |k: usize| ways[k]["exact_loss"].as_f64().unwrap();
    assert!((1..10).all(|k| loss(k) >= loss(k - 1)));
    assert_eq!(json["best"], ways[0]["way"]);
    assert_eq!(json["rows"], 60);
    for way in ways {
        let number = |key: &str| way[key].as_f64().unwrap();
        assert!((number("difference") - (number("exact_loss") - loss(0))).abs() < 1e-9, "{way}");
        assert_eq!(number("difference_se") > 0.0, way["way"] != json["best"], "{way}");
        assert_eq!(way["steps"], 150);
        let exact = way["objective"]["name"] == "exact"
            || (way["slice_law"] == "orthogonal" && way["objective"]["slices"] == 2);
        let variance = number("relative_gradient_variance");
        // Single precision rounds where the variance is zero.
        assert_eq!(exact, variance < 1e-8, "{way}");
        assert!(number("step_ms") > 0.0);
    }
    let variance = |name: &str| {
        let way = ways.iter().find(|w| w["way"] == name);
        way.unwrap_or_else(|| panic!("{name}: {json}"))["gradient_variance"].as_f64().unwrap()
    };
    let (one, two) = (variance("ssm, 1 rademacher slice"), variance("ssm, 2 rademacher slices"));
    assert!((1.2..3.5).contains(&(one / two)), "{one} {two}");
    let page = folder.text("r.html");
    assert!(page.contains("fig-difference") && page.contains("fig-variance"));
    let text = folder.succeeds(&line).out;
    assert!(text.contains("ssm-vr, 2 orthogonal slices") && text.contains("best"), "{text}");
}

#[test]
fn a_budget_in_seconds_conditions_and_bad_settings() {
    let folder = Folder::new();
    folder.write("t.csv", table(300));
    let small = "--hidden 8 --threads 1 --draws 4";
    let line =
        format!("compare t.csv --given a --objectives ssm,exact --seconds 0.05 {small} --json");
    let json = folder.succeeds(&line).json();
    assert!(json["ways"][0]["steps"].as_u64().unwrap() > 3, "{json}");
    assert!(json["ways"][0].get("difference_seeds_se").is_none());
    folder.fails(2, "compare t.csv --objectives auto", &["--objectives", "auto"]);
    folder.fails(2, "compare t.csv --model kef", &["--model", "networks"]);
    folder.fails(2, "fit t.csv --given a --model kef", &["--given", "no condition"]);
    folder.fails(2, "compare t.csv --seeds 0", &["--seeds"]);
    folder.fails(2, "compare t.csv --draws 1", &["--draws"]);
    folder.fails(2, "compare t.csv --seconds 0", &["--seconds"]);
    folder.fails(2, "compare t.csv --test 0", &["--test"]);
    folder.fails(2, "compare t.csv --slices 0", &["slices"]);
    folder.fails(5, "compare t.csv --report no/such/r.html", &["r.html"]);
}
