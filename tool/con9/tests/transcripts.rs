//! The transcripts of test/con9 parse, cite every page of section 5, and have names that tell them apart.

use std::collections::BTreeSet;
use std::path::PathBuf;

use con9::script::{PAGES, Step, What};
use con9::suite;

fn cites(steps: &[Step], found: &mut BTreeSet<String>) {
    for step in steps {
        match &step.what {
            What::Expect(e) => drop(found.insert(e.cite.clone())),
            What::None(.., cite) | What::Order(.., cite) => drop(found.insert(cite.clone())),
            What::Repeat(.., body) => cites(body, found),
            _ => {}
        }
    }
}

#[test]
fn every_page_is_cited_and_every_case_has_a_name_of_its_own() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/con9"));
    let files = suite::read(&[folder.clone(), folder.join("gate"), folder.join("foreign")]).unwrap();
    let (mut found, mut names) = (BTreeSet::new(), BTreeSet::new());
    for file in &files {
        for case in &file.cases {
            assert!(
                names.insert(format!("{}: {}", file.name, case.title)),
                "{}: {} twice",
                file.name,
                case.title
            );
            let mut here = BTreeSet::new();
            cites(&case.steps, &mut here);
            assert!(!here.is_empty(), "{}: {} asks for nothing", file.name, case.title);
            found.extend(here);
        }
    }
    for page in PAGES {
        let of_page = found.iter().filter(|cite| cite.starts_with(page)).count();
        assert!(of_page >= 2, "{page}(5) is cited {of_page} times");
    }
}
