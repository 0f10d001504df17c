//! Linear inequalities a_k.x <= b_k.
//!
//! One weight for all columns, of the face nearest in units of its cap: w = phi(min_k (b_k - a_k.x) / cap_k),
//! and dw/dx_j = -phi' a_kj / cap_k of that face (Liu, Kanamori, Williams 2022 with k = 1 and the
//! Euclidean distance). Where two faces are equally near w has a kink, which integration by parts allows.
//!
//! The simplex x_j >= 0, sum_j x_j <= 1 of all but one part of a composition is a polytope.

use serde::{Deserialize, Serialize};

use super::{Outside, check_power, check_width, profile};
use crate::{Error, Result};

/// One inequality a.x <= b.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// a: d numbers.
    pub normal: Vec<f64>,
    /// b.
    pub offset: f64,
    /// b - a.x at which the weight reaches 1.
    pub cap: f64,
}

impl Face {
    /// a.x <= b whose weight reaches 1 at one unit from the face where columns are measured in
    /// `scale` (their standard deviations, say): cap = |a_j scale_j| over columns.
    pub fn new(normal: Vec<f64>, offset: f64, scale: &[f64]) -> Self {
        let cap = normal.iter().zip(scale).map(|(a, s)| (a * s).powi(2)).sum::<f64>().sqrt();
        Face { normal, offset, cap }
    }

    /// b - a.x: positive inside.
    fn room(&self, x: &[f64]) -> f64 {
        self.offset - self.normal.iter().zip(x).map(|(a, x)| a * x).sum::<f64>()
    }
}

/// The rows that satisfy every inequality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Polytope {
    /// The inequalities.
    pub faces: Vec<Face>,
    /// k.
    pub power: f64,
}

impl Polytope {
    /// x_j >= 0 and sum_j x_j <= 1, for columns of the standard deviations `scale`.
    pub fn simplex(scale: &[f64], power: f64) -> Self {
        let d = scale.len();
        let unit = |j: usize| (0..d).map(|k| if j == k { -1.0 } else { 0.0 }).collect();
        let mut faces: Vec<Face> = (0..d).map(|j| Face::new(unit(j), 0.0, scale)).collect();
        faces.push(Face::new(vec![1.0; d], 1.0, scale));
        Polytope { faces, power }
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_power(self.power)?;
        let d = self.faces.first().map_or(0, |f| f.normal.len());
        for face in &self.faces {
            check_width("faces", face.cap)?;
            let finite = face.normal.iter().chain([&face.offset]).all(|v| v.is_finite());
            if face.normal.len() != d || !finite {
                let message = "each needs one finite number per column and a finite offset";
                return Err(Error::config("faces", message));
            }
        }
        match d {
            0 => Err(Error::config("faces", "there must be at least one, of at least one column")),
            _ => Ok(()),
        }
    }

    pub(super) fn outside(&self, x: &[f64]) -> Option<Outside> {
        let face = self.faces.iter().find(|face| !(face.room(x) >= -face.rounding(x)))?;
        let message = format!("the row violates {}: it is {} over", face.describe(), -face.room(x));
        Some(Outside { column: None, message })
    }

    pub(super) fn weights(&self, x: &[f64], weights: &mut [f64], weight_derivatives: &mut [f64]) {
        let depth = |face: &&Face| face.room(x) / face.cap;
        let Some(face) = self.faces.iter().min_by(|a, b| depth(a).total_cmp(&depth(b))) else {
            return;
        };
        let (value, derivative) = profile(depth(&face), self.power);
        weights.fill(value);
        for (of_weight, a) in weight_derivatives.iter_mut().zip(&face.normal) {
            *of_weight = -derivative * a / face.cap;
        }
    }

    pub(super) fn scaled(&self, mean: &[f64], scale: &[f64]) -> Polytope {
        let faces = self.faces.iter().map(|face| Face {
            normal: face.normal.iter().zip(scale).map(|(a, s)| a * s).collect(),
            offset: face.room(mean),
            cap: face.cap,
        });
        Polytope { faces: faces.collect(), power: self.power }
    }
}

impl Face {
    /// What a.x - b may be off by rounding alone: rows on a face, such as parts of a composition, are inside.
    fn rounding(&self, x: &[f64]) -> f64 {
        let terms: f64 = self.normal.iter().zip(x).map(|(a, x)| (a * x).abs()).sum();
        16.0 * f64::EPSILON * (terms + self.offset.abs())
    }

    fn describe(&self) -> String {
        let used = self.normal.iter().enumerate().filter(|(_, a)| **a != 0.0);
        let terms: Vec<String> = used.map(|(j, a)| format!("{a} * column {}", j + 1)).collect();
        format!("{} <= {}", terms.join(" + "), self.offset)
    }
}
