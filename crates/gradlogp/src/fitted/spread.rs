//! How far the members of an ensemble are apart: an error bar on what differs between fits of other seeds.
//!
//! ```text
//! spread_j(x)^2 = 1/(K - 1) sum_k (s_kj(x) - s_j(x))^2,      s = 1/K sum_k s_k
//! ```
//!
//! It estimates the standard deviation of one member. The mean that the model answers with is nearer to where fits of many
//! seeds would come to, by about sqrt K. What all members have in common, such as their rows, it does not see.

use ndarray::{Array2, ArrayView2};

use super::{Description, FittedModel, NoiseRecord};
use crate::diffusion::TimeMlp;
use crate::model::{Mlp, Model};
use crate::score::Score;
use crate::{Error, Result};

impl FittedModel {
    /// Networks whose mean it is.
    pub fn members(&self) -> usize {
        let noise = self.description().noise.as_ref();
        noise.map_or(1, |noise| noise.network.members).max(self.description().network.members)
    }

    /// Standard deviation over the members, with divisor K - 1, of every component of the score at rows of `x`, n x d, in the
    /// units of the score: 1 / (unit of x).
    ///
    /// # Errors
    /// [`Error::Config`] for a model of one member.
    pub fn score_spread(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        let count = self.members();
        if count < 2 {
            let message = "needs a model of several members; fit with `members` 2 or more";
            return Err(Error::config("spread", message));
        }
        let scores: Vec<Array2<f64>> =
            (0..count).map(|k| Ok(self.member(k)?.score(x))).collect::<Result<_>>()?;
        let mut mean = Array2::zeros(x.dim());
        scores.iter().for_each(|score| mean += score);
        mean /= count as f64;
        let mut squares = Array2::<f64>::zeros(x.dim());
        scores.iter().for_each(|score| squares += &(score - &mean).mapv(|off| off * off));
        Ok((squares / (count - 1) as f64).mapv(f64::sqrt))
    }

    /// One member, counted from 0, as a model of its own at the same condition and time.
    ///
    /// # Errors
    /// No such member.
    pub fn member(&self, k: usize) -> Result<FittedModel> {
        if k >= self.members() {
            return Err(Error::config("member", format!("there are {}", self.members())));
        }
        let all = self.description();
        let noise = all.noise.clone().map(|record| NoiseRecord {
            network: TimeMlp { members: 1, ..record.network },
            ..record
        });
        let network = Mlp { members: 1, ..all.network.clone() };
        let graph = match &noise {
            Some(record) => record.network.graph()?,
            None => network.graph()?,
        };
        let (own, of_all) = (format!("member.{k}."), self.network());
        let mut parameters = Vec::with_capacity(graph.parameters().len());
        for (parameter, _) in graph.parameters().iter() {
            let names = [format!("{own}{}", parameter.name), parameter.name.clone()];
            let mut stored = of_all.graph().parameters().iter();
            let found = stored.find(|(stored, _)| names.contains(&stored.name));
            let Some((_, range)) = found else {
                let message = format!("has no parameters `{}`", parameter.name);
                return Err(Error::config("members", message));
            };
            parameters.extend_from_slice(&of_all.parameters[range]);
        }
        let model = Model::new(of_all.kind(), graph, parameters)?;
        let description = Description { network, noise, ..all.clone() };
        let alone = FittedModel::new(model, description)?;
        Ok(FittedModel { time: self.time, contexts: self.contexts.clone(), ..alone })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::small;
    use super::*;
    use crate::model::ModelKind;
    use ndarray::array;

    /// Members without hidden layers: their scores are the weights, the same everywhere. Of 1, 3, 5 the standard deviation is
    /// 2, of 2, 2, 8 it is sqrt 12; in the units of the table both are divided by those of the columns.
    #[test]
    fn the_spread_is_that_of_known_scores_and_members_answer_alone() {
        let usual = small(1);
        let members = 3;
        let network = Mlp { hidden: vec![], members, ..Mlp::new(3, ModelKind::LogDensity) };
        let parameters = vec![1.0, 2.0, 0.5, 7.0, 3.0, 2.0, 0.5, -7.0, 5.0, 8.0, 0.5, 0.0];
        let model =
            Model::new(ModelKind::LogDensity, network.graph().unwrap(), parameters).unwrap();
        let description = Description { network, ..usual.description().clone() };
        let model = FittedModel::new(model, description).unwrap();
        let x = array![[0.1, 2.0, 300.0], [5.0, 0.0, 100.0]];
        let (spread, sd) =
            (model.score_spread(x.view()).unwrap(), model.description().column_scale.clone());
        for (row, right) in spread
            .outer_iter()
            .flat_map(|row| row.to_vec().into_iter().zip([2.0 / sd[0], 12f64.sqrt() / sd[1], 0.0]))
        {
            assert!((row - right).abs() < 1e-9, "{row} {right}");
        }
        let last = model.member(2).unwrap();
        assert_eq!(last.members(), 1);
        assert!((last.score(x.view())[[1, 1]] - 8.0 / sd[1]).abs() < 1e-9);
        assert!(model.member(3).is_err() && usual.score_spread(x.view()).is_err());
        assert_eq!(usual.member(0).unwrap().score(x.view()), usual.score(x.view()));
    }
}
