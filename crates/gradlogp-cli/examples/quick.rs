use gradlogp::*; use gradlogp::train::*; use std::time::Instant; use std::ops::ControlFlow;
fn main(){
 let a:Vec<String>=std::env::args().collect();
 let d:usize=a[1].parse().unwrap(); let hidden:Vec<usize>=a[2].split(',').map(|x|x.parse().unwrap()).collect();
 let b:usize=a[3].parse().unwrap(); let obj=match a[4].as_str(){"ssm"=>Objective::Ssm{slices:a[5].parse().unwrap()},"ssm-vr"=>Objective::SsmVr{slices:a[5].parse().unwrap()},_=>Objective::Exact};
 let kind=if a[6]=="score"{ModelKind::Score}else{ModelKind::Potential}; let threads:usize=a[7].parse().unwrap();
 let model=Mlp{hidden,..Mlp::new(d,kind)}.build::<f32>(0).unwrap();
 let n=b*4; let rows:Vec<f32>=(0..n*d).map(|i|((i as f32*0.7).sin())).collect();
 let steps=a[8].parse().unwrap();
 let cfg=TrainConfig{objective:obj,steps,batch:b,evaluate_every:1<<40,threads,..Default::default()};
 let mut t=Trainer::new(model,rows.clone(),&rows[..2*d],cfg).unwrap();
 let ops=t.product_operations() as f64;
 let mut last=Instant::now(); let mut times=vec![];
 t.run(&mut |_,e|{ if let Event::Step(_)=e {times.push(last.elapsed().as_secs_f64()*1e3); last=Instant::now();} ControlFlow::Continue(())});
 times.pop(); let mut s=times[times.len()/5..].to_vec(); s.sort_by(|a,b|a.total_cmp(b));
 println!("median {:.3} ms min {:.3} GFLOP {:.3} rate {:.1} GFLOP/s", s[s.len()/2], s[0], ops/1e9, ops/1e6/s[s.len()/2]);
}
