//! The table: what is measured, what it is to cost, and what others take for the like.

/// A row of the table.
pub struct Row {
    /// Its name, also in JSON.
    pub name: &'static str,
    /// What it is to cost.
    pub target: u64,
    /// Others' figures, measured the same way (doc/bench.md says where).
    pub peers: &'static str,
}

const fn row(name: &'static str, target: u64, peers: &'static str) -> Row {
    Row { name, target, peers }
}

/// Every row, with those whose feature does not exist yet.
pub const ROWS: &[Row] = &[
    row("portal_null", 400, "NOVA 224, seL4 406"),
    row("read1_server", 750, "Linux tmpfs 1504"),
    row("read4k_server", 1500, "Linux tmpfs 1928"),
    row("read1_cached", 400, "Linux tmpfs 1504"),
    row("read1m_cached", 138_000, "Linux tmpfs 265854"),
    row("take1m", 4000, "Linux read 265854, memfd 48869"),
    row("give_4k", 3500, "NOVA 1472"),
    row("give_2m", 3500, ""),
    row("give_1g", 3500, ""),
    row("fault_server", 2200, "NOVA 1691, seL4 1950, userfaultfd 12935"),
    row("fault_shared_page", 1500, "NOVA 1691, seL4 1950"),
    row("fault_anon", 950, "Linux 3112"),
    row("map_shared", 10, "Linux 589"),
    row("map_shared_incongruent", 500, "Linux 589"),
    row("cow", 1200, "Linux 4172"),
    row("stat", 2600, "Linux tmpfs 3572"),
    row("open_close", 3000, "Linux tmpfs 6655"),
    row("create_remove", 5000, "Linux tmpfs 27175"),
    row("null_syscall", 80, "NOVA 62, Linux 338"),
    row("pipe_rt", 2500, "Linux 11662"),
    row("mbox_rt", 2500, "Linux pipe 11662"),
    row("sem_rt", 1000, "Linux futex 9861"),
    row("note_self", 1000, "Linux signal 4493"),
    row("fork_wait", 30_000, "Linux 215582"),
    row("spawn_wait", 60_000, "Linux 318866"),
    row("thread_join", 5000, "Linux 53658"),
    row("boot_instr", 20_000_000, "Linux to init 1.48 G"),
    row("boot_ms", 250, "Linux 1440, seL4 280, NOVA 100"),
    row("kernel_bytes", 65_536, "NOVA 52960, seL4 94330"),
    row("memory_min_kib", 4096, ""),
];

/// What a run has found out, in the order in which it was.
#[derive(Debug, Default)]
pub struct Figures(pub Vec<Figure>);

/// One of them: of several batches the median, the least and the most.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The row.
    pub name: String,
    /// What counts.
    pub median: u64,
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
}

impl Figures {
    /// The figure of a row.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|f| f.name == name).map(|f| f.median)
    }

    /// Adds a figure that was measured once.
    pub fn add(&mut self, name: &str, value: u64) {
        self.0.push(Figure { name: name.into(), median: value, least: value, most: value });
    }

    /// Reads the lines `cost NAME MEDIAN LEAST MOST` of a program's output.
    #[must_use]
    pub fn read(output: &str) -> Figures {
        let figure = |line: &str| {
            let words: Vec<&str> = line.trim().split(' ').collect();
            let ["cost", name, median, least, most] = words[..] else { return None };
            let number = |text: &str| text.parse().ok();
            let (median, least, most) = (number(median)?, number(least)?, number(most)?);
            Some(Figure { name: name.into(), median, least, most })
        };
        Figures(output.lines().filter_map(figure).collect())
    }

    /// `{"name": number, …}`, a line each.
    #[must_use]
    pub fn json(&self) -> String {
        let lines: Vec<String> = self.0.iter().map(|f| format!("  \"{}\": {}", f.name, f.median)).collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// Reads what [`Figures::json`] writes; `None` for anything else.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Figures> {
        let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        let mut figures = Figures::default();
        for line in inside.split(',').filter(|_| !inside.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let name = name.trim().strip_prefix('"')?.strip_suffix('"')?;
            figures.add(name, value.trim().parse().ok()?);
        }
        Some(figures)
    }

    /// What has grown beyond the baseline: by more than 3 % and 20 instructions. A row of the baseline that is gone
    /// counts too.
    #[must_use]
    pub fn grown(&self, baseline: &Figures) -> Vec<String> {
        let mut faults = Vec::new();
        for Figure { name, median: was, .. } in &baseline.0 {
            match self.get(name) {
                None => faults.push(format!("{name} is gone")),
                Some(is) if is > was + 20 && is * 100 > was * 103 => {
                    faults.push(format!("{name} {was} -> {is}"));
                }
                Some(_) => {}
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_written_and_read_again() {
        let f = Figures::read("x\ncost a 3 2 4\r\ncost b 7 7 7 7\ncost c x 1 1\n");
        assert_eq!((f.0.len(), f.get("a"), f.0[0].least, f.0[0].most), (1, Some(3), 2, 4));
        let again = Figures::from_json(&f.json()).unwrap();
        assert_eq!((again.0.len(), again.get("a")), (1, Some(3)));
        assert!(Figures::from_json("{}").unwrap().0.is_empty());
        assert!(Figures::from_json("[1]").is_none() && Figures::from_json("{\"a\": x}").is_none());
    }

    #[test]
    fn growth_is_more_than_three_percent_and_twenty() {
        let mut was = Figures::default();
        let mut is = Figures::default();
        for (name, a, b) in [("small", 100, 120), ("large", 10_000, 10_300), ("less", 500, 90)] {
            was.add(name, a);
            is.add(name, b);
        }
        assert!(is.grown(&was).is_empty());
        is.0[0].median = 121;
        is.0[1].median = 10_301;
        was.add("gone", 1);
        assert_eq!(is.grown(&was).len(), 3);
    }

    #[test]
    fn every_row_stands_once() {
        for r in ROWS {
            assert_eq!(ROWS.iter().filter(|o| o.name == r.name).count(), 1, "{}", r.name);
        }
    }
}
