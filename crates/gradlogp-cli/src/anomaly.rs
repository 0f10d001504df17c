//! Anomaly scores of a fitted model, for `gradlogp score --anomaly`.

use anyhow::Result;
use gradlogp::FittedModel;
use gradlogp::fitted::Anomaly;

use crate::args::{AnomalyArgs, ReadArgs};
use crate::input::{Place, Source, in_table, show_warnings};

/// The requested anomaly score, with the threshold found on the held-out rows; None if none was requested.
pub(crate) fn asked(
    model: &FittedModel,
    args: &AnomalyArgs,
    read: &ReadArgs,
) -> Result<Option<Anomaly>> {
    let Some(kind) = args.anomaly else { return Ok(None) };
    let anomaly = Anomaly::new(model, kind)?;
    let (Some(rate), Some(path)) = (args.false_alarm, &args.held_out) else {
        return Ok(Some(anomaly));
    };
    let source = Source::at(Place::File(path.clone()), read);
    let usual = source.load_for(0, model)?;
    show_warnings(&usual.warnings);
    let model = usual.model_at_condition(model.clone())?;
    let found = anomaly.calibrated(&model, usual.table.rows.view(), rate);
    Ok(Some(found.map_err(|e| in_table(e, &usual.table.name))?))
}
