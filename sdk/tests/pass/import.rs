//! A schema with everything in it that can be imported.

#![forbid(unsafe_code)]

use interstice_sdk::{prelude::*, testing};

interstice_sdk::import!("schemas/zoo.json");

use zoo::{Animal, Food, Kind, StaffPerson};

#[table]
struct Seen {
    #[key(auto)]
    id: u64,
    kind: Kind,
    animal: Option<Animal>,
}

#[reducer(calls(zoo::arrive, zoo::close, zoo::r#match))]
fn deliver(ctx: &DeliverContext, keeper: String) -> Result<u32, Food> {
    let animal = Animal {
        id: 0,
        r#type: Kind::Bird,
        diet: vec![Food::Grass, Food::Meat { kilograms: 0.5 }],
        photo: None,
        born: ctx.now(),
        keeper: StaffPerson { name: keeper },
    };
    let id: u32 = zoo::arrive(ctx, 1, animal)?;
    let birds: Vec<Animal> = zoo::r#match(ctx, Kind::Bird);
    assert!(!birds.is_empty());
    let () = zoo::close(ctx);
    Ok(id)
}

#[reducer(on(delete(zoo::Animal)), inserts(Seen))]
fn gone(ctx: &GoneContext, animal: zoo::Animal) -> Result<(), String> {
    ctx.seen.insert(Seen { id: 0, kind: animal.r#type.clone(), animal: Some(animal) })?;
    Ok(())
}

#[query(reads(Seen), calls(zoo::r#match))]
fn birds(ctx: &BirdsContext) -> u64 {
    ctx.seen.scan().filter(Seen::kind.eq(Kind::Bird)).count()
        + zoo::r#match(ctx, Kind::Bird).len() as u64
}

fn main() {
    let schema = testing::schema("interstice_sdk_tests");
    assert!(schema.type_def("zoo.Animal").is_some());
    assert!(schema.type_def("zoo.Kind").is_some());
    assert!(schema.type_def("staff.Person").is_some(), "it keeps its own module's name");
    let deliver = schema.reducer("deliver").unwrap();
    let calls: Vec<&str> = deliver.calls.iter().map(|call| call.function.as_str()).collect();
    assert_eq!(calls, ["arrive", "close", "match"]);
    let gone = schema.reducer("gone").unwrap();
    let (table, _) = gone.trigger.as_ref().unwrap().table().unwrap();
    assert_eq!((table.module.as_deref(), table.table.as_str()), (Some("zoo"), "animals"));
}
