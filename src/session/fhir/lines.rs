//! The lines of a stream, one at a time, in memory that does not grow with it.

use std::io::{ErrorKind, Read, Result};

use crate::records::Record;
use crate::secret::SecretBytes;

/// How much is read at once, at first.
const FIRST: usize = 64 * 1024;

pub(super) struct Lines<'s> {
    source: &'s mut dyn Read,
    buffer: SecretBytes,
    /// What of the buffer is read and not handed out.
    from: usize,
    to: usize,
    index: u64,
    taken: u64,
    ended: bool,
}

/// A line that is not blank.
pub(super) enum Line<'l> {
    Whole(&'l [u8]),
    /// Longer than any record may be.
    TooLong,
}

impl<'s> Lines<'s> {
    pub(super) fn of(source: &'s mut dyn Read) -> Self {
        Self {
            source,
            buffer: SecretBytes::zeroed(FIRST),
            from: 0,
            to: 0,
            index: 0,
            taken: 0,
            ended: false,
        }
    }

    /// How many bytes the lines handed out so far take.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The next line with its number, counted from 0 with the blank ones.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Line<'_>)>> {
        loop {
            let Some((length, is_long)) = self.find()? else {
                return Ok(None);
            };
            let (start, index) = (self.from, self.index);
            self.from = (start + length + 1).min(self.to);
            self.index += 1;
            self.taken += u64::try_from(length).unwrap_or(u64::MAX).saturating_add(1);
            if is_long {
                return Ok(Some((index, Line::TooLong)));
            }
            let line = start..start + length;
            let bytes = self.buffer.expose().get(line.clone()).unwrap_or_default();
            if !bytes.iter().all(|byte| b" \t\r".contains(byte)) {
                let bytes = self.buffer.expose().get(line).unwrap_or_default();
                return Ok(Some((index, Line::Whole(bytes))));
            }
        }
    }

    /// The length of the line that begins at `from`, and whether its beginning was let go.
    fn find(&mut self) -> Result<Option<(usize, bool)>> {
        let (mut seen, mut is_long) = (0, false);
        loop {
            let unread = self
                .buffer
                .expose()
                .get(self.from..self.to)
                .unwrap_or_default();
            let rest = unread.get(seen..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                return Ok(Some((seen + at, is_long)));
            }
            seen = unread.len();
            if self.ended {
                return Ok((seen > 0 || is_long).then_some((seen, is_long)));
            }
            if seen > Record::MAX_BODY {
                self.taken += u64::try_from(seen).unwrap_or(u64::MAX);
                (self.from, self.to, seen, is_long) = (0, 0, 0, true);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<()> {
        let length = self.buffer.expose().len();
        if self.to == length {
            let unread = self.from..self.to;
            if self.from > length / 2 {
                self.buffer.expose_mut().copy_within(unread.clone(), 0);
            } else {
                let mut longer = SecretBytes::zeroed(length * 2);
                let held = self.buffer.expose().get(unread.clone()).unwrap_or_default();
                if let Some(place) = longer.expose_mut().get_mut(..held.len()) {
                    place.copy_from_slice(held);
                }
                self.buffer = longer;
            }
            (self.from, self.to) = (0, unread.len());
        }
        let free = self
            .buffer
            .expose_mut()
            .get_mut(self.to..)
            .unwrap_or_default();
        loop {
            match self.source.read(free) {
                Ok(0) => self.ended = true,
                Ok(count) => self.to += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that gives a few bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            let count = self.0.len().min(self.1).min(into.len());
            let (now, later) = self.0.split_at(count);
            into[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    fn lines(bytes: &[u8], drop: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut source = Drops(bytes, drop);
        let mut lines = Lines::of(&mut source);
        let mut all = Vec::new();
        while let Some((index, line)) = lines.next().unwrap() {
            all.push(match line {
                Line::Whole(bytes) => (index, Some(bytes.to_vec())),
                Line::TooLong => (index, None),
            });
        }
        all
    }

    #[test]
    fn lines_are_what_stands_between_line_feeds_however_they_come() {
        let long = "x".repeat(200_000);
        let text = format!("a\n\n \r\nb\n{long}\n{}\nlast", "y".repeat(70_000));
        let expected: Vec<_> = text
            .split('\n')
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| (u64::try_from(at).unwrap(), Some(line.as_bytes().to_vec())))
            .collect();
        for drop in [7, 4096, 1 << 20] {
            assert_eq!(lines(text.as_bytes(), drop), expected, "{drop}");
        }
        assert_eq!(lines(b"", 1), []);
        assert_eq!(lines(b"\n\n", 1), []);
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_than_a_record_may() {
        let mut text = vec![b'x'; 40 << 20];
        text.extend(b"\nshort\n");
        let mut source = Drops(&text, 1 << 20);
        let mut lines = Lines::of(&mut source);
        assert!(matches!(lines.next().unwrap(), Some((0, Line::TooLong))));
        assert!(matches!(
            lines.next().unwrap(),
            Some((1, Line::Whole(b"short")))
        ));
        assert!(lines.next().unwrap().is_none());
        assert_eq!(lines.taken(), u64::try_from(text.len()).unwrap());
        assert!(lines.buffer.expose().len() <= 32 << 20);
    }
}
