//! How rows stand while something else grows: runs `cost scale`, and draws what it says.

use crate::machine;
use std::fmt::Write;
use std::path::Path;
use xtask::tell::Done;

/// A row that should not mind how many of something there are, by their number.
#[derive(Debug, PartialEq, Eq)]
pub struct Series {
    /// What grows.
    pub what: String,
    /// The row.
    pub row: String,
    /// How many, and what the operation costs then.
    pub points: Vec<(u64, u64)>,
}

/// By how much a row may grow.
const ALLOWED: f64 = 1.2;

impl Series {
    /// Reads the lines `scale WHAT HOW-MANY ROW FIGURE` of a program's output.
    fn read(output: &str) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        for line in output.lines() {
            let words: Vec<&str> = line.trim().split(' ').collect();
            let ["scale", what, n, row, figure] = words[..] else { continue };
            let (Ok(n), Ok(figure)) = (n.parse(), figure.parse()) else { continue };
            match all.iter_mut().find(|s| s.what == what && s.row == row) {
                Some(series) => series.points.push((n, figure)),
                None => all.push(Series { what: what.into(), row: row.into(), points: vec![(n, figure)] }),
            }
        }
        all
    }

    /// A figure beside the first.
    fn ratio(&self, figure: u64) -> f64 {
        let first = self.points.first().map_or(1, |p| p.1).max(1);
        figure as f64 / first as f64
    }

    fn worst(&self) -> f64 {
        self.points.iter().map(|p| self.ratio(p.1)).fold(0.0, f64::max)
    }
}

/// Measures, writes the picture to a file, and returns the table.
pub fn run(kernel: &Path, file: &str) -> Done<String> {
    let series = Series::read(&machine::scale(kernel)?);
    std::fs::write(file, picture(&series)).map_err(|e| format!("{file}: {e}"))?;
    Ok(table(&series))
}

fn table(all: &[Series]) -> String {
    let mut text = String::new();
    for s in all {
        let points: Vec<String> = s.points.iter().map(|(n, figure)| format!("{n}: {figure}")).collect();
        let verdict = if s.worst() <= ALLOWED { "" } else { "  GROWS" };
        // Writing to a string can't fail.
        let _ =
            writeln!(text, "{:<10} {:<19} {:5.2}{verdict}  {}", s.what, s.row, s.worst(), points.join(", "));
    }
    text
}

/// Width and height of one drawing, and what is around its axes.
const SIZE: (f64, f64) = (300.0, 190.0);
const MARGIN: (f64, f64, f64, f64) = (34.0, 26.0, 22.0, 44.0);
const COLOURS: [&str; 4] = ["#1b6ca8", "#c1440e", "#3a7d44", "#7b4b94"];

/// A drawing for each thing that grows: how many there are from left to right, what a row costs beside its cost with
/// one from bottom to top.
fn picture(all: &[Series]) -> String {
    let mut kinds: Vec<&str> = all.iter().map(|s| s.what.as_str()).collect();
    kinds.dedup();
    let (width, height) = (3.0 * SIZE.0, kinds.len().div_ceil(3) as f64 * SIZE.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"10\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (i, kind) in kinds.iter().enumerate() {
        let at = ((i % 3) as f64 * SIZE.0, (i / 3) as f64 * SIZE.1);
        let rows: Vec<&Series> = all.iter().filter(|s| s.what == **kind).collect();
        let _ = writeln!(svg, "<g transform=\"translate({} {})\">\n{}</g>", at.0, at.1, drawing(kind, &rows));
    }
    svg + "</svg>\n"
}

fn drawing(kind: &str, rows: &[&Series]) -> String {
    let (left, top, right, bottom) = MARGIN;
    let (wide, high) = (SIZE.0 - left - right, SIZE.1 - top - bottom);
    let most = rows.iter().flat_map(|s| &s.points).map(|p| p.0).max().unwrap_or(1).max(10);
    let worst = rows.iter().map(|s| s.worst()).fold(1.5, f64::max);
    let x = |n: u64| left + wide * (n.max(1) as f64).log10() / (most as f64).log10();
    let y = |ratio: f64| top + high * (1.0 - ratio / worst);
    let mut out = format!("<text x=\"{left}\" y=\"16\" font-weight=\"bold\">{kind}</text>\n");
    for (ratio, dash) in [(0.0, ""), (1.0, ""), (ALLOWED, " stroke-dasharray=\"3 3\"")] {
        let (y, end) = (y(ratio), left + wide);
        let _ = writeln!(
            out,
            "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{end}\" y2=\"{y:.1}\" stroke=\"#999\" stroke-width=\"0.6\"{dash}/>\
             <text x=\"4\" y=\"{:.1}\">{ratio}</text>",
            y + 3.0
        );
    }
    let steps = (0..).map(|e| 10u64.pow(e)).take_while(|&n| n <= most);
    for n in steps {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{n}</text>",
            x(n),
            top + high + 13.0
        );
    }
    for (i, s) in rows.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let points: Vec<String> =
            s.points.iter().map(|&(n, f)| format!("{:.1},{:.1}", x(n), y(s.ratio(f)))).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
            points.join(" "),
            left + i as f64 * wide / rows.len() as f64,
            SIZE.1 - 14.0,
            s.row
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_grows_is_said_to_grow_and_drawn() {
        let all = Series::read(
            "scale files 1 read1 100\r\nx\nscale files 10 read1 119\nscale files 1 stat 10\nscale files 10 stat 13\n",
        );
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].points, [(1, 100), (10, 119)]);
        let table = table(&all);
        let lines: Vec<&str> = table.lines().collect();
        assert!(!lines[0].contains("GROWS") && lines[1].contains("GROWS"), "{table}");
        let svg = picture(&all);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<polyline").count(), 2);
    }
}
