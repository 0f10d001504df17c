//! Objectives in words: their names, the same with their numbers (which can be read again), and sentences.

use std::fmt;
use std::str::FromStr;

use super::Objective;
use crate::{Error, Result};

impl Objective {
    /// Its name, as in files and on command lines.
    pub fn name(&self) -> &'static str {
        match self {
            Objective::Ssm { .. } => "ssm",
            Objective::SsmVr { .. } => "ssm-vr",
            Objective::Exact => "exact",
            Objective::Dsm { .. } => "dsm",
            Objective::Regression => "regression",
            Objective::FdSsm { .. } => "fd-ssm",
            Objective::FdDsm { .. } => "fd-dsm",
            Objective::Cp { .. } => "cp",
            Objective::ApproxBackprop => "approx-backprop",
        }
    }

    /// In short, with the distribution that its slices are drawn from: `ssm-vr, 2 rademacher slices`.
    pub fn brief(&self, distribution: &dyn fmt::Display) -> String {
        let mut out = self.name().to_string();
        match (self, self.slices()) {
            (Objective::Cp { slices }, _) => out += &format!(", {slices} draws"),
            (_, Some(slices)) => out += &format!(", {}", slices_of(slices, distribution)),
            (_, None) => {}
        }
        if let Some(sigma) = self.sigma() {
            out += &format!(", noise {sigma}");
        }
        out
    }

    /// What it is called in full, with the distribution that its slices are drawn from.
    pub fn describe(&self, distribution: &dyn fmt::Display) -> String {
        let what = match self {
            Objective::Ssm { .. } => "sliced score matching",
            Objective::SsmVr { .. } => "sliced score matching with variance reduction",
            Objective::Exact => "exact implicit score matching",
            Objective::Dsm { .. } => "denoising score matching",
            Objective::Regression => "denoising score matching at every noise level",
            Objective::FdSsm { .. } => "sliced score matching by finite differences",
            Objective::FdDsm { .. } => "denoising score matching by finite differences",
            Objective::Cp { .. } => "curvature propagation",
            Objective::ApproxBackprop => {
                "score matching with the approximate diagonal by backpropagation"
            }
        };
        let noise = self.sigma().map(|sigma| format!("noise {sigma} in standardized units"));
        let slices = self.slices().map(|slices| slices_of(slices, distribution));
        let parts = [Some(what.to_string()), noise, slices];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn slices_of(m: usize, distribution: &dyn fmt::Display) -> String {
    format!("{m} {distribution} slice{}", if m == 1 { "" } else { "s" })
}

/// Its name and its numbers, in the order of the fields; eps is left out where it is chosen.
impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(slices) = self.slices() {
            write!(f, " {slices}")?;
        }
        if let Some(sigma) = self.sigma() {
            write!(f, " {sigma}")?;
        }
        match self.differences().and_then(|differences| differences.eps) {
            Some(eps) => write!(f, " {eps}"),
            None => Ok(()),
        }
    }
}

/// Reads what `Display` writes. One slice where no number of them is given.
///
/// ```
/// use gradlogp::Objective;
/// assert_eq!("ssm-vr".parse::<Objective>()?, Objective::SsmVr { slices: 1 });
/// assert_eq!("dsm 0.5".parse::<Objective>()?.to_string(), "dsm 0.5");
/// # Ok::<(), gradlogp::Error>(())
/// ```
impl FromStr for Objective {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const KNOWN: &str =
            "ssm, ssm-vr, exact, dsm, regression, fd-ssm, fd-dsm, cp, approx-backprop";
        let refuse = |why: String| Error::config("objective", format!("\"{text}\": {why}"));
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let numbers: Vec<f64> = words
            .map(|word| word.parse().map_err(|_| refuse(format!("{word} is not a number"))))
            .collect::<Result<_>>()?;
        let count = |at: usize| match numbers.get(at) {
            None => Ok(1),
            Some(m) if m.fract() == 0.0 && (0.0..9e15).contains(m) => Ok(*m as usize),
            Some(m) => Err(refuse(format!("{m} is not a number of slices"))),
        };
        let sigma = |at: usize| {
            let found = numbers.get(at).copied();
            found.ok_or_else(|| refuse("the noise level is missing".into()))
        };
        let (objective, most) = match name {
            "ssm" => (Objective::Ssm { slices: count(0)? }, 1),
            "ssm-vr" => (Objective::SsmVr { slices: count(0)? }, 1),
            "exact" => (Objective::Exact, 0),
            "dsm" => (Objective::Dsm { sigma: sigma(0)? }, 1),
            "regression" => (Objective::Regression, 0),
            "fd-ssm" => (Objective::FdSsm { slices: count(0)?, eps: numbers.get(1).copied() }, 2),
            "fd-dsm" => {
                let (slices, sigma) = (count(0)?, sigma(1)?);
                (Objective::FdDsm { slices, sigma, eps: numbers.get(2).copied() }, 3)
            }
            "cp" | "curvature-propagation" => (Objective::Cp { slices: count(0)? }, 1),
            "approx-backprop" | "approximate-backprop" => (Objective::ApproxBackprop, 0),
            _ => return Err(refuse(format!("is none of {KNOWN}"))),
        };
        if numbers.len() > most {
            return Err(refuse(format!("{name} has at most {most} numbers")));
        }
        objective.validate()?;
        Ok(objective)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(Objective, &str, &str); 11] = [
        (Objective::Ssm { slices: 1 }, "ssm 1", "ssm, 1 LAW slice"),
        (Objective::SsmVr { slices: 2 }, "ssm-vr 2", "ssm-vr, 2 LAW slices"),
        (Objective::Exact, "exact", "exact"),
        (Objective::Dsm { sigma: 0.25 }, "dsm 0.25", "dsm, noise 0.25"),
        (Objective::Regression, "regression", "regression"),
        (Objective::FdSsm { slices: 3, eps: None }, "fd-ssm 3", "fd-ssm, 3 LAW slices"),
        (Objective::FdSsm { slices: 3, eps: Some(0.1) }, "fd-ssm 3 0.1", "fd-ssm, 3 LAW slices"),
        (
            Objective::FdDsm { slices: 1, sigma: 0.5, eps: None },
            "fd-dsm 1 0.5",
            "fd-dsm, 1 LAW slice, noise 0.5",
        ),
        (
            Objective::FdDsm { slices: 1, sigma: 0.5, eps: Some(1e-3) },
            "fd-dsm 1 0.5 0.001",
            "fd-dsm, 1 LAW slice, noise 0.5",
        ),
        (Objective::Cp { slices: 4 }, "cp 4", "cp, 4 draws"),
        (Objective::ApproxBackprop, "approx-backprop", "approx-backprop"),
    ];

    /// One spelling of each objective: what is written, what is read, what files hold.
    #[test]
    fn names_are_those_of_files_and_are_read_again() {
        for (objective, written, brief) in ALL {
            assert_eq!(objective.to_string(), written);
            assert_eq!(written.parse::<Objective>().unwrap(), objective);
            assert_eq!(objective.brief(&"LAW"), brief);
            let json = serde_json::to_value(objective).unwrap();
            assert_eq!(json["name"], objective.name());
            assert_eq!(serde_json::from_value::<Objective>(json).unwrap(), objective);
        }
        assert_eq!("ssm".parse::<Objective>().unwrap(), Objective::Ssm { slices: 1 });
        let old = serde_json::json!({ "name": "curvature-propagation", "slices": 2 });
        assert_eq!(serde_json::from_value::<Objective>(old).unwrap(), Objective::Cp { slices: 2 });
        for (bad, why) in [
            ("", "none of ssm, ssm-vr"),
            ("sm", "none of"),
            ("ssm x", "x is not a number"),
            ("ssm 1.5", "number of slices"),
            ("ssm 0", "slices: must be at least 1"),
            ("dsm", "noise level is missing"),
            ("exact 1", "at most 0 numbers"),
        ] {
            let error = bad.parse::<Objective>().unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn sentences_name_law_and_noise() {
        let words = |objective: Objective| objective.describe(&"gaussian");
        let vr = "sliced score matching with variance reduction, 1 gaussian slice";
        assert_eq!(words(Objective::SsmVr { slices: 1 }), vr);
        assert_eq!(
            words(Objective::FdDsm { slices: 2, sigma: 0.5, eps: None }),
            "denoising score matching by finite differences, noise 0.5 in standardized units, 2 gaussian slices"
        );
    }
}
