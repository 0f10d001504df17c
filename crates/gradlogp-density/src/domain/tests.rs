use super::*;
use ndarray::array;

/// One domain of each shape in two columns, with points inside, near every part of the boundary.
fn examples(power: f64) -> Vec<(Domain, Vec<[f64; 2]>)> {
    let boxed = Boxed {
        columns: vec![
            Bounds::new(Some(-1.0), Some(2.0), 0.8),
            Bounds { low: None, high: Some(1.0), cap: 2.0 },
        ],
        power,
    };
    let points = vec![[-0.9, 0.7], [1.5, -3.0], [0.4, 0.2]];
    let simplex = Polytope::simplex(&[0.2, 0.3], power);
    let inside = vec![[0.1, 0.5], [0.5, 0.05], [0.45, 0.5], [0.3, 0.28]];
    let ball = Ellipsoid::ball(vec![1.0, -1.0], 2.0, 1.5, power);
    let around = vec![[1.5, -0.2], [-0.8, -1.1], [1.1, -1.1], [2.2, 0.3]];
    vec![
        (Domain::Box(boxed), points),
        (Domain::Polytope(simplex), inside),
        (Domain::Ellipsoid(ball), around),
    ]
}

fn weights_at(domain: &Domain, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut weights, mut weight_derivatives) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    domain.weights(x, &mut weights, &mut weight_derivatives);
    (weights, weight_derivatives)
}

#[test]
fn slopes_are_the_derivatives_of_the_weights() {
    let t = 1e-6;
    for power in [1.0, 2.0, 2.5] {
        for (domain, points) in examples(power) {
            let mut sloped = 0;
            for x in points {
                assert!(domain.contains(&x), "{domain:?} {x:?}");
                let (weights, weight_derivatives) = weights_at(&domain, &x);
                assert!(weights.iter().all(|w| (0.0..=1.0).contains(w)));
                for j in 0..2 {
                    let at = |by: f64| {
                        let mut x = x;
                        x[j] += by;
                        weights_at(&domain, &x).0[j]
                    };
                    let difference = (at(t) - at(-t)) / (2.0 * t);
                    assert!(
                        (weight_derivatives[j] - difference).abs() < 1e-7,
                        "{domain:?} {x:?} {weight_derivatives:?}"
                    );
                    sloped += usize::from(difference != 0.0);
                }
            }
            assert!(sloped >= 3, "{domain:?}: only {sloped} slopes are not zero");
        }
    }
}

#[test]
fn weights_vanish_on_the_boundary_and_reach_one_at_the_cap() {
    for (domain, on_it, deep) in [
        (&examples(1.0)[0].0, [[-1.0, 1.0], [2.0, 1.0]], [0.5, -1.0]),
        (&examples(1.0)[1].0, [[0.0, 0.4], [0.4, 0.6]], [0.25, 0.31]),
        (&examples(2.0)[2].0, [[3.0, -1.0], [1.0, 1.0]], [1.0, -1.0]),
    ] {
        for x in on_it {
            assert!(domain.contains(&x));
            assert!(weights_at(domain, &x).0.iter().all(|w| w.abs() < 1e-12), "{domain:?} {x:?}");
        }
        let (weights, _) = weights_at(domain, &deep);
        assert!(weights.iter().all(|w| *w == 1.0), "{domain:?} {weights:?}");
    }
}

#[test]
fn scaled_domains_are_the_same_domains() {
    let (mean, scale) = ([0.3, -0.7], [0.5, 3.0]);
    for (domain, points) in examples(1.0) {
        let scaled = domain.scaled(&mean, &scale);
        scaled.validate().unwrap();
        for x in points {
            let z = [(x[0] - mean[0]) / scale[0], (x[1] - mean[1]) / scale[1]];
            let ((w, d), (w_z, d_z)) = (weights_at(&domain, &x), weights_at(&scaled, &z));
            for j in 0..2 {
                assert!((w[j] - w_z[j]).abs() < 1e-12, "{domain:?}");
                // dw/dz = scale dw/dx.
                assert!((d[j] * scale[j] - d_z[j]).abs() < 1e-12, "{domain:?}");
            }
        }
    }
}

#[test]
fn what_lies_outside_is_named() {
    let [boxed, simplex, ball] = [0, 1, 2].map(|k| examples(1.0)[k].0.clone());
    let low = boxed.outside(&[-1.5, 0.0]).unwrap();
    assert_eq!((low.column, low.message.as_str()), (Some(0), "-1.5 lies below the bound -1"));
    let high = boxed.outside(&[0.0, 1.25]).unwrap();
    assert_eq!((high.column, high.message.as_str()), (Some(1), "1.25 lies above the bound 1"));
    assert!(boxed.outside(&[f64::NAN, 0.0]).is_some());
    let over = simplex.outside(&[0.75, 0.5]).unwrap();
    assert!(over.message.contains("1 * column 1 + 1 * column 2 <= 1: it is 0.25 over"), "{over:?}");
    assert!(simplex.outside(&[0.1 + 0.2, 0.7]).is_none(), "rounding is not a violation");
    assert!(ball.outside(&[3.5, -1.0]).unwrap().message.contains("1.25 times the radius"));
}

#[test]
fn rows_outside_are_refused_by_name() {
    let domain = &examples(1.0)[0].0;
    let names = ["age".to_string(), "dose".to_string()];
    let inside = array![[0.0, 0.0], [-1.0, 1.0]];
    domain.check(inside.view(), &names, "my.csv").unwrap();
    let error = domain.check(array![[0.0, 0.0], [0.0, 1.5]].view(), &names, "my.csv").unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("my.csv, row 2, column \"dose\": 1.5 lies above the bound 1"),
        "{text}"
    );
}

#[test]
fn settings_that_make_no_domain_are_refused() {
    let column = Bounds::new(Some(0.0), Some(1.0), 1.0);
    assert_eq!(column.cap, 0.5);
    let refuse = |domain: Domain, name: &str| {
        let error = domain.validate().unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    };
    refuse(Domain::Box(Boxed { columns: vec![column], power: 0.5 }), "boundary_power");
    let upside_down = Bounds { low: Some(1.0), high: Some(0.0), cap: 1.0 };
    refuse(Domain::Box(Boxed { columns: vec![upside_down], power: 1.0 }), "bounds");
    refuse(Domain::Polytope(Polytope { faces: vec![], power: 1.0 }), "faces");
    refuse(Domain::Ellipsoid(Ellipsoid::ball(vec![0.0], -1.0, 1.0, 1.0)), "radius");
}
