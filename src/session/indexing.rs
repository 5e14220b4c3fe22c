//! What resources are searched by, and how far they are found by it.

use std::sync::{Arc, PoisonError, RwLock};

use super::open_class::OpenClass;
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::search::{Definition, Parameters};
use crate::sealing::{self, Context, Reader, Table};
use crate::secret::SecretBytes;
use crate::storage::{Reading, Setting, Writing};

/// The list, which the classes of a session share.
pub(super) type SharedParameters = Arc<RwLock<Parameters>>;

/// How far the resources of a class are found by what was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexed {
    /// All of them are found by the list as it was after so many changes.
    pub(super) complete: u64,
    /// Those up to a place are found by it as it was after so many.
    pub(super) under_way: u64,
    up_to: i64,
}

const CODEC: u8 = 1;

impl Indexed {
    fn encode(&self) -> SecretBytes {
        SecretBytes::concatenation(&[
            &[CODEC],
            &self.complete.to_le_bytes(),
            &self.under_way.to_le_bytes(),
            &self.up_to.to_le_bytes(),
        ])
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::over(bytes);
        if reader.array::<1>()? != [CODEC] {
            return Err(ErrorKind::UnsupportedFormat.into());
        }
        let complete = u64::from_le_bytes(reader.array()?);
        let under_way = u64::from_le_bytes(reader.array()?);
        let up_to = i64::from_le_bytes(reader.array()?);
        if reader.left() > 0 {
            return Err(ErrorKind::TamperDetected.into());
        }
        Ok(Self {
            complete,
            under_way,
            up_to,
        })
    }
}

/// How many resources are looked at in one transaction.
const STEP: usize = 256;

impl OpenClass {
    /// What the resources of the vault are searched by.
    pub(super) fn parameters(&self) -> Parameters {
        let shared = self.shared_parameters().read();
        shared.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_parameters(&self, parameters: Parameters) {
        let shared = self.shared_parameters().write();
        *shared.unwrap_or_else(PoisonError::into_inner) = parameters;
    }

    /// Takes the list as it is in the database of Standard.
    ///
    /// # Errors
    ///
    /// Those of the database, [`ErrorKind::TamperDetected`] and [`ErrorKind::UnsupportedFormat`].
    pub(super) fn read_parameters(&self) -> Result<()> {
        if self.class() != Class::Standard {
            return Ok(());
        }
        let read = |reading: &Reading<'_>| reading.optional_setting(Setting::Parameters);
        let parameters = match self.store.read(read)? {
            None => Parameters::default(),
            Some(sealed) => {
                let place = self.setting_place(Setting::Parameters);
                let opened = sealing::open(self.keys.settings(), &place, sealed)?;
                let Some((&CODEC, text)) = opened.expose().split_first() else {
                    return Err(ErrorKind::UnsupportedFormat.into());
                };
                let text = std::str::from_utf8(text).ok();
                let list = text.and_then(Parameters::decode);
                list.ok_or(ErrorKind::TamperDetected)?
            }
        };
        self.set_parameters(parameters);
        Ok(())
    }

    /// Writes another list down, in Standard; it holds once it is [told](Self::tell_parameters).
    pub(super) fn write_parameters(&self, writing: &Writing<'_>, list: &Parameters) -> Result<()> {
        let place = self.setting_place(Setting::Parameters);
        let list = list.encode();
        let parts = [&[CODEC][..], list.as_bytes()];
        let sealed = sealing::seal(self.keys.settings(), &place, &parts)?;
        writing.put_setting(Setting::Parameters, &sealed)
    }

    /// Says to all classes which list is written down.
    pub(super) fn tell_parameters(&self, list: Parameters) {
        self.set_parameters(list);
    }

    /// How far the resources are found by what was added.
    ///
    /// # Errors
    ///
    /// Those of the database, [`ErrorKind::TamperDetected`] and [`ErrorKind::UnsupportedFormat`].
    pub(super) fn indexed(&self, reading: &Reading<'_>) -> Result<Indexed> {
        let Some(sealed) = reading.optional_setting(Setting::Indexed)? else {
            return Ok(Indexed::default());
        };
        let place = self.setting_place(Setting::Indexed);
        Indexed::decode(sealing::open(self.keys.settings(), &place, sealed)?.expose())
    }

    /// Refuses to search by a parameter that not all resources are found by yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SearchPending`] with the parameter, and those of the database.
    pub(super) fn require_indexed(&self, parameter: Option<&Definition>) -> Result<()> {
        let Some(parameter) = parameter.filter(|parameter| parameter.since > 0) else {
            return Ok(());
        };
        let list = self.parameters();
        match self.store.read(|reading| self.indexed(reading))?.complete {
            complete if (parameter.since..=list.generation()).contains(&complete) => Ok(()),
            _ => Err(Error::at_parameter(
                ErrorKind::SearchPending,
                parameter.code,
            )),
        }
    }

    /// Goes on with finding the resources by the list: so many were looked at, and whether that were
    /// the last.
    ///
    /// # Errors
    ///
    /// Those of opening a record, and of the database.
    pub(super) fn index_more(&self, writing: &Writing<'_>) -> Result<(u64, bool)> {
        let reading = writing.reading();
        let generation = self.parameters().generation();
        let mut indexed = self.indexed(&reading)?;
        if indexed.complete == generation {
            return Ok((0, true));
        }
        if indexed.under_way != generation {
            (indexed.under_way, indexed.up_to) = (generation, i64::MIN);
        }
        let rows = reading.rows_beyond(indexed.up_to, STEP)?;
        let last = rows.last().map(|row| row.place);
        let mut looked_at = 0;
        for row in rows {
            let (place, index) = (row.place, row.index);
            let Some((own, entries)) = reading.found_by(place)? else {
                continue;
            };
            looked_at += 1;
            let record = self.open_row(self.name(&reading, row)?)?;
            let found_by = self.found_by(&record)?;
            let is_same = found_by.as_ref().is_some_and(|found| {
                found.own == own && found.entries.as_bytes() == entries.as_bytes()
            });
            if !is_same {
                writing.leave(place, index.start)?;
                writing.enter(place, &index, found_by.as_ref())?;
            }
        }
        match last {
            Some(last) => indexed.up_to = last,
            None => indexed.complete = generation,
        }
        let place = self.setting_place(Setting::Indexed);
        let parts = indexed.encode();
        let sealed = sealing::seal(self.keys.settings(), &place, &[parts.expose()])?;
        writing.put_setting(Setting::Indexed, &sealed)?;
        Ok((looked_at, last.is_none()))
    }

    fn setting_place(&self, setting: Setting) -> Context<'static> {
        let number = u64::from(setting.number());
        Context::of_class(self.keys.vault(), self.class(), Table::Settings, number)
    }
}
