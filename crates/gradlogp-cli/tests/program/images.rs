//! Tables whose columns are pixels: whole numbers, some of them constant, shown as pictures.

use crate::support::{Folder, QUICK, pairs};

/// Pictures of 3 x 2 pixels from 0 to 9; the first pixel is always 0.
fn pictures(n: usize) -> String {
    let pixel = |x: f64| (4.5 + 3.0 * x).round().clamp(0.0, 9.0);
    let rows = pairs(n).into_iter().map(|(a, b)| {
        let cells = [0.0, pixel(a), pixel(b), pixel(-a), pixel(-b), pixel(a - b)];
        cells.map(|c| c.to_string()).join(",") + "\n"
    });
    format!("a,b,c,d,e,f\n{}", rows.collect::<String>())
}

#[test]
fn pixels_are_dequantized_measured_in_bits_and_drawn() {
    let folder = Folder::new();
    folder.write("p.csv", pictures(400));
    folder.fails(
        3,
        &format!("fit p.csv {QUICK} --noise vp --dequantize -o m"),
        &["constant", "\"a\""],
    );
    let whole = "--dequantize --dequantize-rule whole --standardize common";
    folder.succeeds(&format!("fit p.csv {QUICK} --noise vp {whole} -o m"));
    // Cells are of width 1: the bits of the recorded values are those of the noised ones.
    let found = folder.succeeds("loglik m p.csv --json").json();
    let bits = |key: &str| found[key].as_f64().unwrap();
    assert_eq!(bits("bits_per_dimension"), bits("discrete_bits_per_dimension"));
    folder.succeeds("sample m -n 7 --steps 5 -o s.csv --sheet s.png --image 3x2");
    let png = folder.read("s.png");
    // Seven tiles, three across, of 33 x 22 pixels with gaps of 2.
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((&png[1..4], number(16), number(20)), (&b"PNG"[..], 3 * 35 + 2, 3 * 24 + 2));
    folder.succeeds("report m p.csv --image 3x2 -o r.html");
    let page = folder.text("r.html");
    assert!(page.contains("id=\"fig-images\""));
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 2);
    folder.succeeds("report m p.csv -o r.html");
    assert!(!folder.text("r.html").contains("fig-images"));
}

#[test]
fn pictures_that_do_not_fit_are_refused() {
    let folder = Folder::with_model();
    folder.fails(
        2,
        "sample m.safetensors --sheet s.png",
        &["--image", "2 columns are not a square"],
    );
    folder.fails(2, "sample m.safetensors --sheet s.png --image 3x3", &["9 pixels", "2 columns"]);
    folder.fails(2, "report m.safetensors good.csv --image 1", &["28x28"]);
    folder.fails(2, "report m.safetensors good.csv --image 5x1", &["5 pixels"]);
    let line = format!("fit good.csv {QUICK} --dequantize=a --dequantize-rule whole -o n");
    folder.fails(3, &line, &["row 1", "is not a whole number"]);
}

/// A part of the columns in cells of a tenth: no bits of the whole row; all of them: log2(10) more.
#[test]
fn bits_of_recorded_values_count_their_cells() {
    let folder = Folder::new();
    let rounded: String = pairs(400).into_iter().map(|(a, b)| format!("{a:.1},{b:.1}\n")).collect();
    folder.write("r.csv", format!("a,b\n{rounded}"));
    for (option, all) in [("--dequantize", true), ("--dequantize=a", false)] {
        folder.succeeds(&format!("fit r.csv {QUICK} --noise vp {option} -o m"));
        let found = folder.succeeds("loglik m r.csv --json").json();
        let recorded = found["discrete_bits_per_dimension"].as_f64();
        let noised = found["bits_per_dimension"].as_f64().unwrap();
        let expected = all.then(|| noised + 10f64.log2());
        assert_eq!(recorded.is_some(), all);
        assert!((recorded.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-9, "{found}");
    }
}
