// Loads, stores and prefetches. The shape of an access is decided by the coefficient of $v in the element's offset: 1 is a vector access, 0
// one scalar for all lanes, anything else (or an expression that is not linear in $v) an access per lane: gathers where the CPU has fast
// ones, else scalars.
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Metadata.h>

#include <bit>

#include "codegen/x86/emit_kernel.h"
#include "codegen/x86/emit_value.h"

namespace kiln::codegen {

using llvm::Value;

namespace {

/// Bytes of the zeros that masked-out loads read: the longest vector.
constexpr std::size_t zero_bytes = 64;

bool is_all_true(const Value* mask) {
  const auto* constant = llvm::dyn_cast<llvm::Constant>(mask);
  return constant && constant->isAllOnesValue();
}

}  // namespace

KernelEmitter::Place KernelEmitter::place_of(const ir::Instruction& instruction) const {
  Place place;
  place.buffer = instruction.buffer;
  const ir::Dims& strides = strides_[instruction.buffer];
  for (std::size_t i = 0; i < instruction.indices.size(); ++i) place.offset += instruction.indices[i] * strides[i];
  if (const auto row = ir::linear_in(place.offset, ir::tile_row)) {
    if (const auto vector = ir::linear_in(row->rest, ir::tile_vector); vector && !ir::mentions(row->coefficient, ir::tile_vector)) {
      place.linear = true;
      place.row = row->coefficient;
      place.vector = vector->coefficient;
      place.base = vector->rest;
    }
  }
  return place;
}

ir::Dim KernelEmitter::offset_at(const Place& place, int row, std::int64_t position) const {
  if (place.linear) return place.base + place.row * ir::Dim(row) + place.vector * ir::Dim(position);
  return ir::substitute(place.offset, [&](const ir::SymbolInfo& symbol) -> std::optional<ir::Dim> {
    if (symbol.name == ir::tile_row) return ir::Dim(row);
    if (symbol.name == ir::tile_vector) return ir::Dim(position);
    return std::nullopt;
  });
}

Value* KernelEmitter::address_of(const Place& place, int row, std::int64_t position) {
  const IndexValue base{f_->buffers[place.buffer], 0};
  return f_->index.address(base, offset_at(place, row, position), memory_type(m_, kernel_.buffers[place.buffer].dtype));
}

llvm::Align KernelEmitter::alignment_of(const Place& place, int row, std::int64_t position) const {
  const ir::Buffer& buffer = kernel_.buffers[place.buffer];
  const auto size = static_cast<std::int64_t>(size_of(buffer.dtype));
  const std::int64_t bytes = f_->index.divisor(offset_at(place, row, position)) * size;
  const std::int64_t known = std::max<std::int64_t>(buffer.alignment, size);
  const std::int64_t lowest = bytes == 0 ? known : std::min(known, bytes & -bytes);
  return llvm::Align(static_cast<std::uint64_t>(std::bit_floor(static_cast<std::uint64_t>(std::max(lowest, size)))));
}

Value* KernelEmitter::from_memory(Value* value, DType dtype) {
  if (dtype != DType::boolean) return value;
  return f_->builder.CreateICmpNE(value, llvm::ConstantInt::get(value->getType(), 0));
}

Value* KernelEmitter::to_memory(Value* value, DType dtype) {
  if (dtype != DType::boolean) return value;
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType());
  return f_->builder.CreateZExt(value, with_lanes(m_.i8, vector ? static_cast<int>(vector->getNumElements()) : 1));
}

template <class Body>
void KernelEmitter::guarded(Value* mask, Body&& body) {
  if (!mask) return body();
  Builder& b = f_->builder;
  llvm::BasicBlock* then = new_block("masked");
  llvm::BasicBlock* after = new_block("after");
  b.CreateCondBr(mask, then, after);
  b.SetInsertPoint(then);
  body();
  b.CreateBr(after);
  b.SetInsertPoint(after);
}

/// `address` where the scalar `mask` is true, else that of 64 zero bytes: a masked load without a branch in the middle of a loop's body.
Value* KernelEmitter::address_if(Value* mask, Value* address) {
  if (!mask) return address;
  if (!m_.zeros) {
    llvm::Type* type = llvm::ArrayType::get(m_.i8, zero_bytes);
    m_.zeros = new llvm::GlobalVariable(m_.module, type, true, llvm::GlobalValue::PrivateLinkage, llvm::Constant::getNullValue(type),
                                        "kiln.zeros");
    m_.zeros->setAlignment(llvm::Align(64));
  }
  return f_->builder.CreateSelect(mask, address, m_.zeros);
}

Value* KernelEmitter::load_scalar(const Place& place, int row, std::int64_t position, Value* mask) {
  const DType dtype = kernel_.buffers[place.buffer].dtype;
  Value* address = address_if(mask, address_of(place, row, position));
  return from_memory(f_->builder.CreateAlignedLoad(memory_type(m_, dtype), address, alignment_of(place, row, position)), dtype);
}

Value* KernelEmitter::load_vector(const Place& place, int row, std::int64_t position, int lanes, Value* mask) {
  Builder& b = f_->builder;
  const DType dtype = kernel_.buffers[place.buffer].dtype;
  llvm::Type* scalar = memory_type(m_, dtype);
  llvm::Type* type = with_lanes(scalar, lanes);
  const bool whole = mask && !mask->getType()->isVectorTy();  // all lanes or none
  if (place.linear && place.vector.is_constant(1)) {
    Value* address = address_of(place, row, position);
    const llvm::Align align = alignment_of(place, row, position);
    if (!mask) return from_memory(b.CreateAlignedLoad(type, address, align), dtype);
    if (whole && static_cast<std::size_t>(lanes) * size_of(dtype) <= zero_bytes)
      return from_memory(b.CreateAlignedLoad(type, address_if(mask, address), align), dtype);
    return from_memory(b.CreateMaskedLoad(type, address, align, splat_at_definition(mask, lanes), llvm::Constant::getNullValue(type)),
                       dtype);
  }
  if (place.linear && place.vector.is_constant(0)) {
    Value* any = !mask || whole ? mask : b.CreateOrReduce(mask);
    Value* value = splat_at_definition(load_scalar(place, row, position, any), lanes);
    return mask && !whole ? b.CreateSelect(mask, value, llvm::Constant::getNullValue(value->getType())) : value;
  }
  if (whole) mask = splat_at_definition(mask, lanes);
  // Per lane. A gather of 16 floats is about as long as 8 scalar loads with their insertions; a masked one saves the branches as well.
  const bool gather = size_of(dtype) >= 4 && lanes >= 8 && m_.target.avx512;
  if (gather || mask) {
    Value* addresses = llvm::PoisonValue::get(with_lanes(m_.pointer, lanes));
    if (place.linear && place.vector.is_constant()) {
      std::vector<llvm::Constant*> offsets;
      for (int lane = 0; lane < lanes; ++lane) offsets.push_back(m_.integer(lane * place.vector.constant()));
      addresses = b.CreateGEP(scalar, address_of(place, row, position), llvm::ConstantVector::get(offsets));
    } else {
      for (int lane = 0; lane < lanes; ++lane)
        addresses = b.CreateInsertElement(addresses, address_of(place, row, position + lane), static_cast<std::uint64_t>(lane));
    }
    Value* which = mask ? mask : llvm::Constant::getAllOnesValue(with_lanes(m_.i1, lanes));
    return from_memory(b.CreateMaskedGather(type, addresses, llvm::Align(size_of(dtype)), which, llvm::Constant::getNullValue(type)),
                       dtype);
  }
  Value* result = llvm::PoisonValue::get(type);
  for (int lane = 0; lane < lanes; ++lane) {
    Value* element = b.CreateAlignedLoad(scalar, address_of(place, row, position + lane), llvm::Align(size_of(dtype)));
    result = b.CreateInsertElement(result, element, static_cast<std::uint64_t>(lane));
  }
  return from_memory(result, dtype);
}

Value* KernelEmitter::mask_of(const ir::Instruction& instruction, int row, int col) {
  if (!instruction.masked) return nullptr;
  const ir::RegisterId id = instruction.operands.back();
  Value* mask = element(id, row, col, type_of(id).lanes);
  return is_all_true(mask) ? nullptr : mask;
}

void KernelEmitter::emit_load(const ir::Instruction& instruction) {
  const ir::RegisterType& type = type_of(instruction.results[0]);
  const Place place = place_of(instruction);
  Tile tile;
  for (int row = 0; row < type.rows; ++row) {
    for (int col = 0; col < type.cols; ++col) {
      Value* mask = mask_of(instruction, row, col);
      const std::int64_t position = std::int64_t{col} * type.lanes;
      tile.push_back(type.lanes == 1 ? load_scalar(place, row, position, mask) : load_vector(place, row, position, type.lanes, mask));
    }
  }
  if (type.lanes == 1 && type.dtype != DType::boolean && !instruction.masked) f_->waiting.insert(tile.begin(), tile.end());
  define(instruction.results[0], std::move(tile));
}

void KernelEmitter::store_scalar(const Place& place, int row, std::int64_t position, Value* value, Value* mask) {
  Value* address = address_of(place, row, position);
  const llvm::Align align = alignment_of(place, row, position);
  guarded(mask, [&] { f_->builder.CreateAlignedStore(value, address, align); });
}

void KernelEmitter::store_vector(const Place& place, int row, std::int64_t position, int lanes, Value* value, Value* mask,
                                 bool non_temporal) {
  Builder& b = f_->builder;
  const bool whole = mask && !mask->getType()->isVectorTy();  // all lanes or none
  if (place.linear && place.vector.is_constant(1)) {
    Value* address = address_of(place, row, position);
    const llvm::Align align = alignment_of(place, row, position);
    if (whole) return guarded(mask, [&] { b.CreateAlignedStore(value, address, align); });
    if (mask) {
      b.CreateMaskedStore(value, address, align, mask);
      return;
    }
    llvm::StoreInst* store = b.CreateAlignedStore(value, address, align);
    const std::uint64_t bytes = static_cast<std::uint64_t>(lanes) * size_of(kernel_.buffers[place.buffer].dtype);
    if (non_temporal && align.value() >= std::min<std::uint64_t>(bytes, 64)) {  // x86 has only aligned ones
      store->setMetadata(llvm::LLVMContext::MD_nontemporal, llvm::MDNode::get(m_.context, llvm::ConstantAsMetadata::get(b.getInt32(1))));
      f_->non_temporal = true;
    }
    return;
  }
  for (int lane = 0; lane < lanes; ++lane) {
    const auto at = static_cast<std::uint64_t>(lane);
    store_scalar(place, row, position + lane, b.CreateExtractElement(value, at), mask && !whole ? b.CreateExtractElement(mask, at) : mask);
  }
}

void KernelEmitter::emit_store(const ir::Instruction& instruction) {
  const ir::RegisterType& type = instruction.type;
  f_->waiting.clear();  // no load moves past a store
  const Place place = place_of(instruction);
  const DType dtype = kernel_.buffers[place.buffer].dtype;
  for (int row = 0; row < type.rows; ++row) {
    for (int col = 0; col < type.cols; ++col) {
      Value* mask = mask_of(instruction, row, col);
      Value* value = to_memory(element(instruction.operands[0], row, col, type.lanes), dtype);
      const std::int64_t position = std::int64_t{col} * type.lanes;
      if (type.lanes == 1)
        store_scalar(place, row, position, value, mask);
      else
        store_vector(place, row, position, type.lanes, value, mask, instruction.non_temporal);
    }
  }
}

void KernelEmitter::emit_prefetch(const ir::Instruction& instruction) {
  const ir::RegisterType& type = instruction.type;
  const Place place = place_of(instruction);
  for (int row = 0; row < type.rows; ++row) {
    for (int col = 0; col < type.cols; ++col) {
      Value* address = address_of(place, row, std::int64_t{col} * type.lanes);
      Builder& b = f_->builder;
      b.CreateIntrinsic(llvm::Intrinsic::prefetch, {m_.pointer}, {address, b.getInt32(0), b.getInt32(3), b.getInt32(1)});
    }
  }
}

}  // namespace kiln::codegen
