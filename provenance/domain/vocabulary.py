"""The words of the Core Business Vocabulary: what an event's bare values may be.

In EPCIS JSON a standard value is one bare word (``"bizStep": "shipping"``); own values are URIs or
CURIEs. Four spellings of one value are met in practice: ``shipping``, ``cbv:BizStep-shipping``,
``https://ref.gs1.org/cbv/BizStep-shipping`` and ``urn:epcglobal:cbv:bizstep:shipping`` (the last in
XML and EPCIS 1.2 only). :func:`is_misspelt_word` finds the second and third kind with a word that
the vocabulary does not have.

The measurement types and sensor alerts are of the GS1 Web Vocabulary. A word that is not here is
refused with the list's name, never let through: a verdict shows these words to people.

Source: GS1 CBV 2.0 (June 2022) §7 and the EPCIS 2.0 JSON binding, which a test compares with this.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


BIZ_STEPS: Final = _words(
    """
    accepting arriving assembling collecting commissioning consigning
    creating_class_instance cycle_counting decommissioning departing destroying
    disassembling dispensing encoding entering_exiting holding inspecting installing killing
    loading other packing picking receiving removing repackaging repairing replacing
    reserving retail_selling sampling sensor_reporting shipping staging_outbound
    stock_taking stocking storing transporting unloading unpacking void_shipping
    """
)
"""What was being done (CBV §7.1); web form ``BizStep-…``."""

DISPOSITIONS: Final = _words(
    """
    active available completeness_inferred completeness_verified conformant container_closed
    container_open damaged destroyed dispensed disposed encoded expired in_progress
    in_transit inactive mismatch_class mismatch_instance mismatch_quantity needs_replacement
    no_pedigree_match non_conformant non_sellable_other partially_dispensed recalled
    reserved retail_sold returned sellable_accessible sellable_not_accessible stolen
    unavailable unknown
    """
)
"""The state that objects are in afterwards (CBV §7.2); web form ``Disp-…``."""

BIZ_TRANSACTION_TYPES: Final = _words(
    """
    bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt
    """
)
"""Kinds of business papers (CBV §7.3); web form ``BTT-…``."""

SOURCE_DESTINATION_TYPES: Final = _words(
    """
    location owning_party possessing_party
    """
)
"""What a source or destination is (CBV §7.4); web form ``SDT-…``."""

ERROR_REASONS: Final = _words(
    """
    did_not_occur incorrect_data
    """
)
"""Why an event was wrong (CBV §7.5); web form ``ER-…``."""

COMPONENTS: Final = _words(
    """
    altitude axial_distance azimuth easting elevation_angle height latitude longitude
    northing polar_angle spherical_radius x y z
    """
)
"""Which part of a vector or position a reading is; web form ``Comp-…``."""

SENSOR_ALERTS: Final = _words(
    """
    ALARM_CONDITION ERROR_CONDITION
    """
)
"""What a sensor warns of."""

MEASUREMENT_TYPES: Final = _words(
    """
    AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Altitude AmountOfSubstance
    AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity
    Area Capacitance Conductance Conductivity Count Density Dimensionless DoseEquivalent
    DoseEquivalentRate DynamicViscosity ElectricCharge ElectricCurrent
    ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency Illuminance
    Inductance Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux
    LuminousIntensity MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass
    MassConcentration MassFlowRate MassPerAreaTime MemoryCapacity MolalityOfSolute
    MolarEnergy MolarMass MolarVolume Power Pressure RadiantFlux RadiantIntensity
    Radioactivity RelativeHumidity Resistance Resistivity SolidAngle SpecificVolume Speed
    SurfaceDensity SurfaceTension Temperature Time Torque Voltage Volume VolumeFlowRate
    VolumeFraction VolumetricFlux Wavenumber
    """
)
"""What a sensor measured."""

ACTIONS: Final = _words("ADD OBSERVE DELETE")
"""Life or membership begins, is seen, ends (EPCIS 2.0 §7.3.2)."""

_WEB_BASES: Final = ("cbv:", "https://ref.gs1.org/cbv/", "http://ref.gs1.org/cbv/")


def is_misspelt_word(text: str, stem: str, words: frozenset[str]) -> bool:
    """Whether `text` is a web form of the vocabulary (``cbv:BizStep-…``) without being one of
    `words`.

    `stem` is what stands before the word, for instance ``BizStep-``. The JSON schema takes any URI
    here, so a slip in the long form would pass where the same slip in the short form is refused.
    """
    for base in _WEB_BASES:
        if text.startswith(base):
            return text.removeprefix(base).removeprefix(stem) not in words
    return False
