//! The macros that turn tables in the manual's notation into types, encoders, decoders and text.
//!
//! A line of a table is the message's number, its name and its fields as intro(5) writes them, without the size,
//! type and tag that every message has: `116 Tread fid[4] offset[8] count[4];`. What the manual writes with a
//! count of its own is one field here, of a type that holds the count and what it counts:
//!
//! | here | in the manual | type |
//! | --- | --- | --- |
//! | `x[1]`, `x[2]`, `x[4]`, `x[8]` | the same | `u8`, `u16`, `u32`, `u64` |
//! | `x[s]` | `x[s]` | `&str` |
//! | `x[name]` | `x[s]`, where the string is the name of a file | [`Name`](crate::Name) |
//! | `x[13]` | `x[13]` | [`Qid`](crate::Qid) |
//! | `data[n]` | `count[4] data[count]` | `&[u8]` |
//! | `wname[n*s]` | `nwname[2] nwname*(wname[s])` | [`Names`](crate::Names) |
//! | `wqid[n*13]` | `nwqid[2] nwqid*(wqid[13])` | [`Qids`](crate::Qids) |
//! | `stat[stat]` | `stat[n]`: `n[2]` and the record | [`Stat`](crate::Stat) |

/// The type of a field.
macro_rules! field_type {
    ($a:lifetime 1) => { u8 };
    ($a:lifetime 2) => { u16 };
    ($a:lifetime 4) => { u32 };
    ($a:lifetime 8) => { u64 };
    ($a:lifetime 13) => { $crate::Qid };
    ($a:lifetime s) => { &$a str };
    ($a:lifetime name) => { $crate::Name<$a> };
    ($a:lifetime n) => { &$a [u8] };
    ($a:lifetime n * s) => { $crate::Names<$a> };
    ($a:lifetime n * 13) => { $crate::Qids<$a> };
    ($a:lifetime stat) => { $crate::Stat<$a> };
    ($a:lifetime ustat) => { $crate::dialect::u::Stat<$a> };
}

/// A table of messages: one enum.
macro_rules! messages {
    (
        $(#[$doc:meta])*
        pub enum $Msg:ident<$a:lifetime>;
        $($(#[$vdoc:meta])* $op:literal $Name:ident $($field:ident[$($kind:tt)+])*;)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[allow(clippy::enum_variant_names, reason = "the manual's names")]
        pub enum $Msg<$a> {
            $(
                $(#[$vdoc])*
                $Name {
                    $(
                        #[doc = concat!("`", stringify!($field), "[", stringify!($($kind)+), "]` of the table.")]
                        $field: field_type!($a $($kind)+),
                    )*
                },
            )*
        }

        impl<$a> $Msg<$a> {
            /// Name and number of every message of the table.
            pub const ALL: &'static [(&'static str, u8)] = &[$((stringify!($Name), $op)),*];

            /// The message's number.
            pub const fn op(&self) -> u8 {
                match self { $($Msg::$Name { .. } => $op,)* }
            }

            /// The message's name.
            pub const fn name(&self) -> &'static str {
                match self { $($Msg::$Name { .. } => stringify!($Name),)* }
            }

            /// How many bytes the whole message has.
            pub fn size(&self) -> usize {
                $crate::frame::Message::size(self)
            }

            /// Writes the whole message into `room`: how many bytes it has.
            pub fn encode(&self, tag: $crate::Tag, room: &mut [u8]) -> Result<usize, $crate::Error> {
                $crate::frame::encode(self, tag, room)
            }

            /// Reads a message that is exactly `frame`.
            pub fn decode(frame: &$a [u8]) -> Result<($crate::Tag, Self), $crate::Bad> {
                $crate::frame::decode(frame)
            }

            /// The message as a line of text with its tag.
            pub const fn line(&self, tag: $crate::Tag) -> $crate::text::Line<'_, Self> {
                $crate::text::Line::new(self, tag)
            }
        }

        impl<$a> $crate::frame::Message<$a> for $Msg<$a> {
            fn op(&self) -> u8 {
                self.op()
            }
            fn name(&self) -> &'static str {
                self.name()
            }
            fn get(op: u8, r: &mut $crate::Reader<$a>) -> Result<Self, $crate::Error> {
                let _ = &r;
                match op {
                    $($op => Ok($Msg::$Name { $($field: $crate::Field::get(r)?,)* }),)*
                    _ => Err($crate::Error::Type(op)),
                }
            }
            fn size(&self) -> usize {
                match self {
                    $($Msg::$Name { $($field,)* } => [0, $($crate::Field::size($field)),*]
                        .into_iter()
                        .fold($crate::HEAD, usize::saturating_add),)*
                }
            }
            fn put(&self, w: &mut $crate::Writer<'_>) -> Result<(), $crate::Error> {
                let _ = &w;
                match self {
                    $($Msg::$Name { $($field,)* } => { $($crate::Field::put($field, w)?;)* })*
                }
                Ok(())
            }
            fn show(&self, show: $crate::text::Show<'_>) {
                let _ = &show;
                match self {
                    $($Msg::$Name { $($field,)* } => { $($crate::Field::show($field, stringify!($field), show);)* })*
                }
            }
            fn read<'t>(
                op: u8,
                words: &mut $crate::text::Words<'t>,
                w: &mut $crate::Writer<'_>,
            ) -> Result<(), $crate::text::Flawed<'t>> {
                match op {
                    $($op => { $(<field_type!($a $($kind)+) as $crate::Field>::read(stringify!($field), words, w)?;)* })*
                    _ => return Err($crate::Error::Type(op).into()),
                }
                Ok(())
            }
            fn number(name: &str) -> Option<u8> {
                Self::ALL.iter().find(|m| m.0 == name).map(|m| m.1)
            }
        }

        impl core::fmt::Display for $Msg<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::text::write_message(self, None, f)
            }
        }
    };
}

/// The value of a stat record's field that says "don't touch".
macro_rules! untouched {
    (2) => {
        u16::MAX
    };
    (4) => {
        abi::file::NOCHANGE32
    };
    (8) => {
        abi::file::NOCHANGE64
    };
    (13) => {
        $crate::Qid { kind: u8::MAX, vers: abi::file::NOCHANGE32, path: abi::file::NOCHANGE64 }
    };
    (s) => {
        ""
    };
}

/// A stat record: `size[2]` and these fields, the struct and its forms.
macro_rules! record {
    (
        $(#[$doc:meta])*
        pub struct $Stat:ident<$a:lifetime>;
        $($(#[$fdoc:meta])* $field:ident[$kind:tt];)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $Stat<$a> {
            $($(#[$fdoc])* pub $field: field_type!($a $kind),)*
        }

        impl<$a> $Stat<$a> {
            /// The record of a Twstat that changes nothing (and asks, by that, for a sync).
            pub const NOCHANGE: $Stat<'static> = $Stat { $($field: $crate::table::untouched!($kind),)* };

            /// Reads a record that is exactly `bytes`, its `size[2]` included.
            pub fn decode(bytes: &$a [u8]) -> Result<Self, $crate::Error> {
                let mut r = $crate::Reader::new(bytes);
                let stat = Self::get_record(&mut r)?;
                r.end().map_err(|_| $crate::Error::Stat)?;
                Ok(stat)
            }

            /// Writes the record, its `size[2]` included: how many bytes it has.
            pub fn encode(&self, room: &mut [u8]) -> Result<usize, $crate::Error> {
                let mut w = $crate::Writer::new(room);
                self.put_record(&mut w)?;
                Ok(w.written())
            }

            /// How many bytes the record has, its `size[2]` included.
            pub fn size(&self) -> usize {
                [2, $($crate::Field::size(&self.$field)),*].into_iter().fold(0, usize::saturating_add)
            }

            /// Reads the next record.
            pub(crate) fn get_record(r: &mut $crate::Reader<$a>) -> Result<Self, $crate::Error> {
                let size = u16::from_le_bytes(r.array()?);
                let mut r = $crate::Reader::new(r.take(usize::from(size))?);
                let stat = $Stat { $($field: $crate::Field::get(&mut r).map_err($crate::stat::short_is_stat)?,)* };
                r.end().map_err(|_| $crate::Error::Stat)?;
                $crate::stat::check_name(stat.name)?;
                Ok(stat)
            }

            /// Writes the record.
            pub(crate) fn put_record(&self, w: &mut $crate::Writer<'_>) -> Result<(), $crate::Error> {
                $crate::stat::check_name(self.name)?;
                let size = w.reserve(2)?;
                let before = w.written();
                $($crate::Field::put(&self.$field, w)?;)*
                $crate::stat::put_size(size, before, w)
            }

            /// Shows every field.
            pub(crate) fn show_fields(&self, show: $crate::text::Show<'_>) {
                $($crate::Field::show(&self.$field, stringify!($field), show);)*
            }

            /// Reads fields of a text line, in their order, and writes the record; a field that is not there is
            /// not to be touched.
            pub(crate) fn read_record<'t>(
                words: &mut $crate::text::Words<'t>,
                w: &mut $crate::Writer<'_>,
            ) -> Result<(), $crate::text::Flawed<'t>> {
                let size = w.reserve(2)?;
                let before = w.written();
                $(
                    if words.at(stringify!($field)) {
                        <field_type!($a $kind) as $crate::Field>::read(stringify!($field), words, w)?;
                    } else {
                        $crate::Field::put(&Self::NOCHANGE.$field, w)?;
                    }
                )*
                Ok($crate::stat::put_size(size, before, w)?)
            }
        }

        /// In a message the record has a length of its own before it, `n[2] stat[n]`.
        impl<$a> $crate::Field<$a> for $Stat<$a> {
            fn get(r: &mut $crate::Reader<$a>) -> Result<Self, $crate::Error> {
                let n = u16::from_le_bytes(r.array()?);
                Self::decode(r.take(usize::from(n))?).map_err($crate::stat::short_is_stat)
            }
            fn size(&self) -> usize {
                $Stat::size(self).saturating_add(2)
            }
            fn put(&self, w: &mut $crate::Writer<'_>) -> Result<(), $crate::Error> {
                let size = w.reserve(2)?;
                let before = w.written();
                self.put_record(w)?;
                $crate::stat::put_size(size, before, w)
            }
            fn show(&self, _key: &'static str, show: $crate::text::Show<'_>) {
                self.show_fields(show);
            }
            fn read<'t>(
                _key: &'static str,
                words: &mut $crate::text::Words<'t>,
                w: &mut $crate::Writer<'_>,
            ) -> Result<(), $crate::text::Flawed<'t>> {
                let size = w.reserve(2)?;
                let before = w.written();
                Self::read_record(words, w)?;
                Ok($crate::stat::put_size(size, before, w)?)
            }
        }

        impl core::fmt::Display for $Stat<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::text::write_fields(f, "", &mut |show| self.show_fields(show))
            }
        }
    };
}

pub(crate) use {field_type, messages, record, untouched};
