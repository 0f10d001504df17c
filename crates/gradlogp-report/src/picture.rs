//! Rows as grayscale images: a sheet of tiles, one a row, as PNG.

use std::io::Write;

use anyhow::{Result, ensure};
use flate2::{Compression, Crc, write::ZlibEncoder};
use gradlogp::Error;
use ndarray::ArrayView2;

/// Least width of a tile on a sheet, in pixels: smaller pictures are enlarged.
const TILE: usize = 32;
/// Pixels between tiles.
const GAP: usize = 2;
/// Most tiles of a sheet.
pub const TILES: usize = 100;

/// Columns that are the pixels of a picture, line by line from its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// Pixels of a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

impl ImageShape {
    /// From WIDTHxHEIGHT, as the command line has it.
    ///
    /// # Errors
    /// What is expected, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse().ok().filter(|n| (1..=4096).contains(n));
        let parts = text.split_once('x').map(|(width, height)| (number(width), number(height)));
        match parts {
            Some((Some(width), Some(height))) => Ok(ImageShape { width, height }),
            _ => Err("must be a width and a height in pixels, such as 28x28".into()),
        }
    }

    /// The shape asked for, or the square of so many columns, if it fits them.
    ///
    /// # Errors
    /// Another number of columns than of pixels.
    pub fn of(asked: Option<Self>, columns: usize) -> Result<Self> {
        let side = columns.isqrt();
        let shape = asked.unwrap_or(ImageShape { width: side, height: side });
        let ImageShape { width, height } = shape;
        if width * height == columns {
            return Ok(shape);
        }
        let message = match asked {
            Some(_) => format!(
                "{width}x{height} is {} pixels, and the model has {columns} columns",
                width * height
            ),
            None => format!("{columns} columns are not a square; give WIDTHxHEIGHT"),
        };
        Err(Error::config("--image", message).into())
    }
}

/// The values that are shown black and white.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Greys {
    /// Black.
    pub low: f64,
    /// White.
    pub high: f64,
}

impl Greys {
    /// The range of all but the most extreme 0.5% of values on either side.
    pub fn of(rows: ArrayView2<'_, f64>) -> Self {
        let mut values: Vec<f64> = rows.iter().copied().filter(|x| x.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
        match values.is_empty() {
            true => Greys { low: 0.0, high: 1.0 },
            false => Greys { low: at(0.005), high: at(0.995) },
        }
    }

    fn shade(&self, x: f64) -> u8 {
        let width = (self.high - self.low).max(f64::MIN_POSITIVE);
        // What is not a number is black.
        (255.0 * ((x - self.low) / width).clamp(0.0, 1.0)).round() as u8
    }
}

/// A picture of grey pixels.
pub struct Sheet {
    /// Pixels of a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    pixels: Vec<u8>,
}

impl Sheet {
    /// The first [`TILES`] rows as tiles, about as many across as down, in reading order.
    ///
    /// # Errors
    /// Another number of columns than of pixels.
    pub fn new(rows: ArrayView2<'_, f64>, shape: ImageShape, greys: Greys) -> Result<Self> {
        ensure!(rows.ncols() == shape.width * shape.height, "sheet: columns are not the pixels");
        let tiles = rows.nrows().clamp(1, TILES);
        let across = (tiles as f64).sqrt().ceil() as usize;
        let zoom = TILE.div_ceil(shape.width);
        let (tile_width, tile_height) = (zoom * shape.width + GAP, zoom * shape.height + GAP);
        let width = across * tile_width + GAP;
        let height = tiles.div_ceil(across) * tile_height + GAP;
        let mut sheet = Sheet { width, height, pixels: vec![96; width * height] };
        for (k, row) in rows.outer_iter().take(tiles).enumerate() {
            let (left, top) = (GAP + k % across * tile_width, GAP + k / across * tile_height);
            for y in 0..zoom * shape.height {
                for x in 0..zoom * shape.width {
                    let value = row[y / zoom * shape.width + x / zoom];
                    sheet.pixels[(top + y) * width + left + x] = greys.shade(value);
                }
            }
        }
        Ok(sheet)
    }

    /// As a PNG file of 8-bit greys (ISO/IEC 15948).
    pub fn png(&self) -> std::io::Result<Vec<u8>> {
        let mut header = Vec::new();
        header.extend((self.width as u32).to_be_bytes());
        header.extend((self.height as u32).to_be_bytes());
        // 8 bits, grey, and the only methods of compression, filtering and order.
        header.extend([8, 0, 0, 0, 0]);
        let mut lines = ZlibEncoder::new(Vec::new(), Compression::default());
        for line in self.pixels.chunks(self.width) {
            // Without a filter.
            lines.write_all(&[0])?;
            lines.write_all(line)?;
        }
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, data) in [(b"IHDR", header), (b"IDAT", lines.finish()?), (b"IEND", Vec::new())] {
            out.extend((data.len() as u32).to_be_bytes());
            let mut sum = Crc::new();
            for part in [kind.as_slice(), &data] {
                out.extend(part);
                sum.update(part);
            }
            out.extend(sum.sum().to_be_bytes());
        }
        Ok(out)
    }

    /// The PNG as the source of an `img` element (RFC 4648, section 4).
    pub fn data_address(&self) -> std::io::Result<String> {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::from("data:image/png;base64,");
        for bytes in self.png()?.chunks(3) {
            let three = [bytes[0], *bytes.get(1).unwrap_or(&0), *bytes.get(2).unwrap_or(&0)];
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for k in 0..4 {
                let letter = LETTERS[(bits >> (18 - 6 * k)) as usize & 63];
                out.push(if k <= bytes.len() { letter as char } else { '=' });
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use ndarray::array;

    use super::*;

    /// The pixels of a PNG that [`Sheet::png`] wrote, with its width.
    fn read(png: &[u8]) -> (usize, Vec<u8>) {
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!((&png[..8], &png[12..16]), (&b"\x89PNG\r\n\x1a\n"[..], &b"IHDR"[..]));
        let (width, height) = (number(16), number(20));
        let length = number(33);
        assert_eq!(&png[37..41], b"IDAT");
        let mut lines = Vec::new();
        flate2::read::ZlibDecoder::new(&png[41..41 + length]).read_to_end(&mut lines).unwrap();
        assert_eq!(lines.len(), height * (width + 1));
        (width, lines.chunks(width + 1).flat_map(|line| line[1..].to_vec()).collect())
    }

    /// Two pictures of 2 x 1 pixels: each pixel becomes 16 x 16, tiles lie beside each other.
    #[test]
    fn pixels_are_where_they_should_be() {
        let greys = Greys { low: 0.0, high: 10.0 };
        let rows = array![[0.0, 10.0], [5.0, 99.0]];
        let shape = ImageShape { width: 2, height: 1 };
        let sheet = Sheet::new(rows.view(), shape, greys).unwrap();
        assert_eq!((sheet.width, sheet.height), (2 * 34 + 2, 18 + 2));
        let (width, pixels) = read(&sheet.png().unwrap());
        let at = |x: usize, y: usize| pixels[y * width + x];
        assert_eq!((at(0, 0), at(2, 2), at(17, 17), at(18, 2)), (96, 0, 0, 255));
        assert_eq!((at(36, 2), at(51, 17), at(52, 2), at(69, 19)), (128, 128, 255, 96));
    }

    /// The check value of the PNG's own polynomial: its last 12 bytes are always these.
    #[test]
    fn the_file_ends_as_every_png_does() {
        let shape = ImageShape { width: 1, height: 1 };
        let sheet = Sheet::new(array![[1.0]].view(), shape, Greys { low: 0.0, high: 1.0 }).unwrap();
        let png = sheet.png().unwrap();
        assert_eq!(&png[png.len() - 12..], b"\0\0\0\0IEND\xae\x42\x60\x82");
        // "\x89PN" in base 64.
        assert!(sheet.data_address().unwrap().starts_with("data:image/png;base64,iVBO"));
    }

    #[test]
    fn shapes() {
        assert_eq!(ImageShape::parse("28x14"), Ok(ImageShape { width: 28, height: 14 }));
        for bad in ["28", "0x3", "x", "3x", "-1x2"] {
            assert!(ImageShape::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(ImageShape::of(None, 64).unwrap(), ImageShape { width: 8, height: 8 });
        let error = ImageShape::of(None, 12).unwrap_err().to_string();
        assert!(error.contains("12 columns are not a square"), "{error}");
        let error = ImageShape::of(ImageShape::parse("5x5").ok(), 24).unwrap_err().to_string();
        assert!(error.contains("25 pixels") && error.contains("24 columns"), "{error}");
    }

    #[test]
    fn greys_leave_out_extremes() {
        let mut rows = ndarray::Array2::from_shape_fn((1000, 1), |(i, _)| i as f64);
        (rows[[0, 0]], rows[[999, 0]]) = (-1e9, f64::NAN);
        let greys = Greys::of(rows.view());
        assert_eq!((greys.low, greys.high), (5.0, 993.0));
    }
}
