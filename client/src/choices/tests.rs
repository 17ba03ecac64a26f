use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn read(text: &str) -> (Settings, Vec<Fault>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, text).unwrap();
    let (_, settings, faults) = File::read(&path);
    (settings, faults)
}

fn chosen() -> Settings {
    Settings {
        server: Some("https://tv.example/".parse().unwrap()),
        user: Some("anna".into()),
        favourites: ["one".to_owned(), "two".to_owned()].into(),
        last_channel: Some("two".into()),
        volume: 35,
        muted: true,
        sound: Some("de".into()),
        subtitles: Some("en".into()),
        language: Some("de".into()),
        appearance: Appearance::Dark,
        quality: Quality::Fixed("480p".into()),
        cache_mb: 250,
        sharing: Sharing {
            choice: Some(true),
            kbits: 900,
            monthly_gb: Some(50),
            on_metered: true,
            private: true,
        },
        window: Window { width: 800, height: 500, maximized: true },
        tracks: [("one".to_owned(), Tracks { sound: Some("fr".into()), subtitles: None })].into(),
        ..Settings::default()
    }
}

#[test]
fn what_is_written_is_read_again_and_only_its_owner_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config/settings.toml");
    let (file, settings, faults) = File::read(&path);
    assert_eq!((settings, faults), (Settings::default(), Vec::new()), "no file is no fault");
    for settings in [chosen(), Settings::default()] {
        file.write(&settings).unwrap();
        let (_, again, faults) = File::read(&path);
        assert_eq!((again, faults), (settings, Vec::new()));
    }
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn each_value_may_be_broken_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    let (file, ..) = File::read(&path);
    file.write(&chosen()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let mut keys: Vec<(Option<&str>, String)> = Vec::new();
    for (key, value) in &table {
        match value {
            toml::Value::Table(section) if key != "quality" => {
                keys.extend(section.keys().map(|inner| (Some(key.as_str()), inner.clone())));
            }
            _ => keys.push((None, key.clone())),
        }
    }
    assert_eq!(keys.len(), 22, "every value is tried: {keys:?}");
    for (section, key) in keys {
        let mut broken = table.clone();
        let inner = match section {
            Some(section) => broken[section].as_table_mut().unwrap(),
            None => &mut broken,
        };
        let sane = inner.insert(key.clone(), toml::Value::Float(-0.5)).unwrap();
        let (settings, faults) = read(&broken.to_string());
        let name = section.map_or(key.clone(), |section| format!("{section}.{key}"));
        assert_eq!(faults.iter().map(|f| f.key.as_str()).collect::<Vec<_>>(), [name.as_str()]);
        // With the value put right nothing differs: the others were kept.
        let mut read_back = toml::Table::try_from(&settings).unwrap();
        let inner = match section {
            Some(section) => read_back
                .entry(section)
                .or_insert_with(|| toml::Table::new().into())
                .as_table_mut()
                .unwrap(),
            None => &mut read_back,
        };
        inner.insert(key, sane);
        assert_eq!(read_back, table, "{name}");
    }
}

#[test]
fn lines_that_are_no_toml_are_left_out_and_named() {
    let (settings, faults) = read("volume = 20\nmuted = = true\nuser = \"anna\"\n\u{0}\u{1}\n");
    assert_eq!((settings.volume, settings.user.as_deref()), (20, Some("anna")));
    assert!(!settings.muted);
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["line 2", "line 4"]);
}

#[test]
fn a_file_of_noise_gives_defaults_and_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    let noise: Vec<u8> =
        (0..4000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&path, noise).unwrap();
    let (file, settings, faults) = File::read(&path);
    assert_eq!(settings, Settings::default());
    assert!(!faults.is_empty());
    assert!(folder.path().join("settings.toml.broken").exists());
    file.write(&chosen()).unwrap();
    assert_eq!(File::read(&path).1, chosen());
}

#[test]
fn out_of_range_is_a_fault_and_what_is_not_known_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, "volume = 101\ncache_mb = 999999999\nnewer = [1, 2]\nuser = \"a\"\n")
        .unwrap();
    let (file, settings, faults) = File::read(&path);
    assert_eq!((settings.volume, settings.cache_mb), (80, 1000));
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["volume", "cache_mb"]);
    file.write(&settings).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("newer = [1, 2]"));
}
