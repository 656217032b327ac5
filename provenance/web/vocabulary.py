"""The words of the standards' code lists, in English and Chinese.

`TERMS[table][code] = (English, Chinese)`. Tables: `step` and `disposition` (GS1 Core Business
Vocabulary 2.0, sections 7.1 and 7.2), `document` (7.3), `type` (EPCIS 2.0 event types and the party
events of docs/formats.md section 5), `role`, `custody`, `reason` (why a key was revoked) and
`country` (ISO 3166-1 alpha-2). Stage words follow the usage of Chinese trace pages.
"""

from __future__ import annotations

from provenance.web.countries import COUNTRIES

Words = dict[str, tuple[str, str]]

_STEPS: Words = {
    "accepting": ("Cleared and accepted", "通关放行"),
    "arriving": ("Arrived", "到港"),
    "assembling": ("Assembled", "组装"),
    "collecting": ("Collected", "揽收"),
    "commissioning": ("Made", "生产"),
    "consigning": ("Consigned", "委托发运"),
    "creating_class_instance": ("Lot created", "建立批次"),
    "cycle_counting": ("Counted in cycle", "循环盘点"),
    "decommissioning": ("Code retired", "停用编码"),
    "departing": ("Departed", "离港"),
    "destroying": ("Destroyed", "销毁"),
    "disassembling": ("Disassembled", "拆解"),
    "dispensing": ("Dispensed", "发放"),
    "encoding": ("Label written", "标签写入"),
    "entering_exiting": ("Entered or left", "进出"),
    "holding": ("Held", "扣留"),
    "inspecting": ("Inspected", "质检"),
    "installing": ("Installed", "安装"),
    "killing": ("Tag disabled", "停用标签"),
    "loading": ("Loaded", "装载"),
    "other": ("Other step", "其他"),
    "packing": ("Packed", "包装"),
    "picking": ("Picked", "拣货"),
    "receiving": ("Received", "入库验收"),
    "removing": ("Removed", "移除"),
    "repackaging": ("Repackaged", "重新包装"),
    "repairing": ("Repaired", "维修"),
    "replacing": ("Replaced", "更换"),
    "reserving": ("Reserved", "预留"),
    "retail_selling": ("Sold in store", "门店售出"),
    "sampling": ("Sampled", "抽样"),
    "sensor_reporting": ("Sensor reading", "传感器读数"),
    "shipping": ("Shipped", "发货"),
    "staging_outbound": ("Staged to leave", "待出库"),
    "stock_taking": ("Stock taken", "盘点"),
    "stocking": ("Put on the shelf", "上架"),
    "storing": ("Stored", "仓储"),
    "transporting": ("In transport", "运输"),
    "unloading": ("Unloaded", "卸货"),
    "unpacking": ("Unpacked", "拆包"),
    "void_shipping": ("Shipment cancelled", "取消发货"),
}

_DISPOSITIONS: Words = {
    "active": ("in use", "在用"),
    "available": ("available", "可用"),
    "completeness_inferred": ("complete, inferred", "推定完整"),
    "completeness_verified": ("complete, verified", "核实完整"),
    "conformant": ("conforms", "合格"),
    "container_closed": ("container closed", "集装箱已关闭"),
    "container_open": ("container open", "集装箱已打开"),
    "damaged": ("damaged", "损坏"),
    "destroyed": ("destroyed", "已销毁"),
    "dispensed": ("dispensed", "已发放"),
    "disposed": ("disposed of", "已处置"),
    "encoded": ("label written", "标签已写入"),
    "expired": ("expired", "已过期"),
    "in_progress": ("in progress", "进行中"),
    "in_transit": ("in transit", "在途"),
    "inactive": ("not in use", "未启用"),
    "mismatch_class": ("wrong product found", "品种不符"),
    "mismatch_instance": ("wrong item found", "单品不符"),
    "mismatch_quantity": ("wrong quantity found", "数量不符"),
    "needs_replacement": ("needs replacement", "需更换"),
    "no_pedigree_match": ("papers do not match", "单证不符"),
    "non_conformant": ("does not conform", "不合格"),
    "non_sellable_other": ("not for sale", "不可销售"),
    "partially_dispensed": ("partly dispensed", "部分发放"),
    "recalled": ("recalled", "已召回"),
    "reserved": ("reserved", "已预留"),
    "retail_sold": ("sold", "已售出"),
    "returned": ("returned", "已退回"),
    "sellable_accessible": ("on sale", "在售"),
    "sellable_not_accessible": ("for sale, not on the shelf", "可售未上架"),
    "stolen": ("reported stolen", "报失窃"),
    "unavailable": ("not available", "不可用"),
    "unknown": ("condition unknown", "状态不明"),
}

_DOCUMENTS: Words = {
    "bol": ("Bill of lading", "提单"),
    "cert": ("Certificate", "证书"),
    "desadv": ("Despatch advice", "发货通知"),
    "inv": ("Invoice", "发票"),
    "pedigree": ("Pedigree", "流通记录"),
    "po": ("Purchase order", "采购订单"),
    "poc": ("Order confirmation", "订单确认"),
    "prodorder": ("Production order", "生产订单"),
    "recadv": ("Receiving advice", "收货通知"),
    "rma": ("Return authorisation", "退货授权"),
    "testprd": ("Test procedure", "检测规程"),
    "testres": ("Test report", "检测报告"),
    "upevt": ("Upstream event", "上游事件"),
}

_TYPES: Words = {
    "ObjectEvent": ("Observed", "记录"),
    "AggregationEvent": ("Put together", "装箱"),
    "AssociationEvent": ("Attached", "绑定"),
    "TransactionEvent": ("Tied to a document", "关联单据"),
    "TransformationEvent": ("Made from", "加工转化"),
    "prov:PartyRegistered": ("Party registered", "机构注册"),
    "prov:KeyAdded": ("Key added", "新增密钥"),
    "prov:KeyRevoked": ("Key revoked", "撤销密钥"),
    "prov:PartyAccredited": ("Party accredited", "机构认可"),
    "prov:AccreditationWithdrawn": ("Accreditation withdrawn", "撤销认可"),
}

_ROLES: Words = {
    "brand": ("Brand", "品牌方"),
    "producer": ("Producer", "生产企业"),
    "logistics": ("Carrier", "物流企业"),
    "laboratory": ("Laboratory", "检测机构"),
    "customs": ("Customs", "海关"),
    "retailer": ("Retailer", "零售商"),
    "auditor": ("Auditor", "审计机构"),
    "operator": ("Platform operator", "平台运营方"),
}

_CUSTODY: Words = {
    # What a registration declares (prov:custody); nobody can prove who holds a key.
    "party": ("key declared as its own", "密钥申报为自持"),
    "platform": ("key declared as held by the platform", "密钥申报为平台代管"),
}

_REVOCATIONS: Words = {
    "superseded": ("replaced by a newer key", "已被新密钥取代"),
    "lost": ("lost", "遗失"),
    "compromised": ("in wrong hands", "已泄露"),
    "ceased": ("no longer used", "不再使用"),
}

TERMS: dict[str, Words] = {
    "step": _STEPS,
    "disposition": _DISPOSITIONS,
    "document": _DOCUMENTS,
    "type": _TYPES,
    "role": _ROLES,
    "custody": _CUSTODY,
    "revocation": _REVOCATIONS,
    "country": COUNTRIES,
}

#: Icon (a symbol of templates/icons.svg) for each step; a step without one gets `dot`.
STEP_ICONS: dict[str, str] = {
    "accepting": "stamp",
    "arriving": "anchor",
    "assembling": "factory",
    "collecting": "truck",
    "commissioning": "factory",
    "consigning": "truck",
    "creating_class_instance": "factory",
    "decommissioning": "cross-circle",
    "departing": "ship",
    "destroying": "cross-circle",
    "disassembling": "box",
    "dispensing": "bag",
    "encoding": "tag",
    "entering_exiting": "pin",
    "holding": "pause",
    "inspecting": "flask",
    "killing": "cross-circle",
    "loading": "box",
    "packing": "box",
    "picking": "box",
    "receiving": "inbox",
    "repackaging": "box",
    "retail_selling": "bag",
    "sampling": "flask",
    "sensor_reporting": "gauge",
    "shipping": "truck",
    "staging_outbound": "box",
    "stock_taking": "warehouse",
    "stocking": "bag",
    "storing": "warehouse",
    "transporting": "ship",
    "unloading": "box",
    "unpacking": "box",
}

#: Icon for each role, for the parties' list.
ROLE_ICONS: dict[str, str] = {
    "brand": "tag",
    "producer": "factory",
    "logistics": "truck",
    "laboratory": "flask",
    "customs": "stamp",
    "retailer": "bag",
    "auditor": "eye",
    "operator": "layers",
}

_STEP_PREFIXES = (
    "https://ref.gs1.org/cbv/BizStep-",
    "https://ref.gs1.org/cbv/Disp-",
    "https://ref.gs1.org/cbv/BTT-",
    "https://ns.gs1.org/cbv/BizStep-",
    "https://ns.gs1.org/cbv/Disp-",
    "https://ns.gs1.org/cbv/BTT-",
    "urn:epcglobal:cbv:bizstep:",
    "urn:epcglobal:cbv:disp:",
    "urn:epcglobal:cbv:btt:",
)


def bare(code: str) -> str:
    """A vocabulary code without the prefix of its longer spellings (CBV 2.0 section 6.3)."""
    for prefix in _STEP_PREFIXES:
        if code.startswith(prefix):
            return code[len(prefix) :]
    return code
